'use strict';
// Let's Chat 0.4.8, see chat/app.js, with the variable that it reads. CHAT_APP is that file as the recipe's Dockerfile
// edits it.
const { write } = require('./writer.js');
const { open } = require(process.env.CHAT_APP || './chat/app.js');

open(process.env.LCB_DATABASE_URI, process.env.COLLECTION, write);
