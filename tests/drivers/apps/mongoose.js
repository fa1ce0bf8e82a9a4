'use strict';
// A current Mongoose.
const mongoose = require('mongoose');
const { write } = require('./writer.js');

const schema = new mongoose.Schema({ _id: Number }, { writeConcern: { w: 'majority' }, versionKey: false });
const Entry = mongoose.model('Entry', schema, process.env.COLLECTION);

mongoose.connect(process.env.MONGO_URL).then(
  () => write(mongoose.version, (id) => Entry.create({ _id: id })),
  (error) => { console.error(error.message); process.exit(1); },
);
