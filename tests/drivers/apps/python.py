"""The official Python driver. writer.js describes its output."""

import os
import sys
import time

import pymongo

client = pymongo.MongoClient(os.environ["MONGO_URL"])
majority = pymongo.WriteConcern(w="majority")
writes = client.get_default_database().get_collection(os.environ["COLLECTION"], write_concern=majority)

print("start", pymongo.version, flush=True)
number = int(time.time() * 1000) * 1000
while True:
    try:
        writes.insert_one({"_id": number})
        print(number, int(time.time() * 1000), flush=True)
    except pymongo.errors.PyMongoError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    number += 1
    time.sleep(0.01)
