'use strict';
// The official Node driver.
const { MongoClient } = require('mongodb');
const { version } = require('mongodb/package.json');
const { write } = require('./writer.js');

const writes = new MongoClient(process.env.MONGO_URL).db().collection(process.env.COLLECTION);
write(version, (id) => writes.insertOne({ _id: id }, { writeConcern: { w: 'majority' } }));
