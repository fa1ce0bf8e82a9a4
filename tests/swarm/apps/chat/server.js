'use strict';
// A substitute for Let's Chat 0.4.8, see app.js: its variables in the same order, and the port of its image.
const { open } = require('./app.js');
const { serve } = require('../serve.js');

const { MONGODB_URI, MONGOLAB_URI, MONGOHQ_URL, LCB_DATABASE_URI, LCB_HTTP_PORT } = process.env;
const uri = MONGODB_URI || MONGOLAB_URI || MONGOHQ_URL || LCB_DATABASE_URI || 'mongodb://localhost/letschat';

open(uri, 'messages', (version, request) => serve(version, LCB_HTTP_PORT || 8080, request));
