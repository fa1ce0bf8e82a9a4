/* libmongoc as Orion uses it, with the variable that Orion 3.11 and later reads. writer.js describes its output.
 *
 * It is a fair substitute because its client is the same: mongoc_client_new, without a thread that watches the set
 * (src/lib/mongoDriver/mongoConnectionPool.cpp of telefonicaid/fiware-orion). So the request that finds no primary scans
 * the members itself, for connectTimeoutMS at most, which is 10 s by default. Orion's other requests wait meanwhile for
 * one semaphore; here they are the writes that follow. Unlike Orion it demands w=majority, so that what is acknowledged
 * can be looked for in the end. With POOLED=1 it takes its client from a pool instead, as other programs do. */

#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(void)
{
    const char *text = getenv("ORION_MONGO_URI"), *name = getenv("COLLECTION");
    bson_error_t error;
    if (!text || !name) {
        fprintf(stderr, "ORION_MONGO_URI and COLLECTION must be set\n");
        return 2;
    }
    mongoc_init();
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    if (!uri) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    mongoc_client_t *client = getenv("POOLED") ? mongoc_client_pool_pop(mongoc_client_pool_new(uri)) : mongoc_client_new_from_uri(uri);
    mongoc_collection_t *writes = mongoc_client_get_collection(client, mongoc_uri_get_database(uri), name);
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(majority, 0);
    mongoc_collection_set_write_concern(writes, majority);

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("start %s\n", MONGOC_VERSION_S);
    for (int64_t id = now_ms() * 1000;; id++) {
        bson_t *entry = BCON_NEW("_id", BCON_INT64(id));
        if (mongoc_collection_insert_one(writes, entry, NULL, NULL, &error))
            printf("%" PRId64 " %" PRId64 "\n", id, now_ms());
        else
            fprintf(stderr, "%s\n", error.message);
        bson_destroy(entry);
        usleep(10000);
    }
}
