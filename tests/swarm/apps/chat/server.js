'use strict';
// A substitute for Let's Chat 0.4.8: its Mongoose, its variables in the same order, and its port.
const mongoose = require('mongoose4');
const { serve } = require('../serve.js');

const { MONGODB_URI, MONGOLAB_URI, MONGOHQ_URL, LCB_DATABASE_URI } = process.env;
const uri = MONGODB_URI || MONGOLAB_URI || MONGOHQ_URL || LCB_DATABASE_URI || 'mongodb://localhost/letschat';

mongoose.Promise = Promise;
const schema = new mongoose.Schema({ _id: Number }, { safe: { w: 'majority' }, versionKey: false });
const Message = mongoose.model('Message', schema, 'messages');

mongoose.connect(uri, { useMongoClient: true }).then(
  () => serve(mongoose.version, 5000, (id) => Message.create({ _id: id })),
  (error) => { console.error(error.message); process.exit(1); },
);
