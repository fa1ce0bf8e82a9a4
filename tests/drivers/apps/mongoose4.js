'use strict';
// The Mongoose of Let's Chat 0.4.8, with the variable that Let's Chat reads.
const mongoose = require('mongoose4');
const { write } = require('./writer.js');

mongoose.Promise = Promise;
const schema = new mongoose.Schema({ _id: Number }, { safe: { w: 'majority' }, versionKey: false });
const Entry = mongoose.model('Entry', schema, process.env.COLLECTION);

mongoose.connect(process.env.LCB_DATABASE_URI, { useMongoClient: true }).then(
  () => write(mongoose.version, (id) => Entry.create({ _id: id })),
  (error) => { console.error(error.message); process.exit(1); },
);
