'use strict';
// The database side of Let's Chat 0.4.8, with the packages that npm installs for its package.json. It is a fair substitute
// because it makes the same calls as app.js of sdelements/lets-chat:
//   - mongoose.connect(uri, callback), which has other defaults than the driver's MongoClient
//   - a session store with connections of its own (connect-mongo), which is a MongoClient
//   - it ends when Mongoose reports an error, or that it is disconnected
// A user's request reads and writes the session, then a message, so it needs both. Unlike Let's Chat it demands
// w: majority for messages, so that what is acknowledged can be looked for in the end.
// deploy/lets-chat/Dockerfile edits both calls, here as there.
const { EventEmitter } = require('events');
const { inherits } = require('util');
const connectMongo = require('connect-mongo/es5');
const mongoose = require('mongoose4');

// What connect-mongo needs of express-session.
function Store() { EventEmitter.call(this); }
inherits(Store, EventEmitter);

function later(call) {
  return new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result))));
}

// Calls `ready(version, request)` when it is connected. `request(id)` stores the message `{_id: id}`.
function open(uri, collection, ready) {
  const settings = { database: { uri } };
  const MongoStore = connectMongo({ Store, MemoryStore: Store });
  const sessions = new MongoStore({
    url: settings.database.uri,
    autoReconnect: true
  });

  mongoose.Promise = Promise;
  const schema = new mongoose.Schema({ _id: Number }, { safe: { w: 'majority' }, versionKey: false });
  const Message = mongoose.model('Message', schema, collection);

  mongoose.connection.on('error', (error) => { throw error; });
  mongoose.connection.on('disconnected', () => { throw new Error('disconnected'); });
  mongoose.connect(settings.database.uri, (error) => {
    if (error) throw error;
    ready(mongoose.version, async (id) => {
      await later((done) => sessions.get(collection, done));
      await later((done) => sessions.set(collection, { id }, done));
      await Message.create({ _id: id });
    });
  });
}

module.exports = { open };
