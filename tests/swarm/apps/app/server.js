'use strict';
// An application with the official Node driver and the URI in one variable.
const { MongoClient } = require('mongodb');
const { version } = require('mongodb/package.json');
const { serve } = require('../serve.js');

const client = new MongoClient(process.env.MONGO_URL || process.env.DATABASE_URL);
client.connect().then(
  () => serve(version, 8080, (id) => client.db().collection('orders').insertOne({ _id: id })),
  (error) => { console.error(error.message); process.exit(1); },
);
