/* A substitute for Orion: libmongoc with the same variables, flags, port and paths. It has two requests:
 *   GET /v2/entities         queries the database, as a health check should: 200, or 500
 *   POST /v2/entities        writes {"id": N}: 201 when a majority has it, or 500
 * Like Orion, it does not start if a pid file exists, and it leaves its own pid file behind when it is killed.
 *
 * It uses libmongoc as Orion does: single clients (mongoc_client_new in src/lib/mongoDriver/mongoConnectionPool.cpp), and
 * one semaphore around each request (reqSem in src/lib/common/sem.cpp, policy "all" by default). No thread watches the
 * set: the request that finds no primary scans the members, for connectTimeoutMS at most, and all others wait for it. */

#include <fcntl.h>
#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PORT = 1026, ROOM = 4096 };

static mongoc_client_t *client;
static pthread_mutex_t one_request = PTHREAD_MUTEX_INITIALIZER;
static const char *database;

static int die(const char *why)
{
    fprintf(stderr, "%s\n", why);
    return 1;
}

/* Orion with -multiservice tries this command once a second, 100 times. */
static int usable(bson_error_t *error)
{
    bson_t *list = BCON_NEW("listDatabases", BCON_INT32(1));
    int ok = 0;
    for (int attempt = 0; attempt < 100 && !ok; attempt++) {
        ok = mongoc_client_command_simple(client, "admin", list, NULL, NULL, error);
        if (!ok)
            sleep(1);
    }
    bson_destroy(list);
    return ok;
}

static int asked(mongoc_collection_t *entities, bson_error_t *error)
{
    bson_t empty = BSON_INITIALIZER;
    bson_t *first = BCON_NEW("limit", BCON_INT64(1));
    const bson_t *entity;
    mongoc_cursor_t *found = mongoc_collection_find_with_opts(entities, &empty, first, NULL);
    mongoc_cursor_next(found, &entity);
    int failed = mongoc_cursor_error(found, error);
    mongoc_cursor_destroy(found);
    bson_destroy(first);
    return failed ? 500 : 200;
}

static int written(mongoc_collection_t *entities, int64_t id, bson_error_t *error)
{
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(majority, 0);
    mongoc_collection_set_write_concern(entities, majority);
    bson_t *entity = BCON_NEW("_id", BCON_INT64(id));
    int ok = mongoc_collection_insert_one(entities, entity, NULL, NULL, error);
    bson_destroy(entity);
    mongoc_write_concern_destroy(majority);
    return ok ? 201 : 500;
}

/* Serves one request per connection. The request ends with its body. */
static void *answer(void *argument)
{
    int visitor = (int)(intptr_t)argument, got = 0, status = 404;
    char request[ROOM] = "", reply[ROOM];
    const char *body = NULL;
    struct timeval patience = {.tv_sec = 5};
    bson_error_t error = {.message = "no such thing"};
    setsockopt(visitor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (ssize_t more; got < ROOM - 1 && (more = read(visitor, request + got, ROOM - 1 - got)) > 0;) {
        request[got += more] = 0;
        body = strstr(request, "\r\n\r\n");
        if (body && (strncmp(request, "POST", 4) || strchr(body, '}')))
            break;
    }
    if (body) {
        pthread_mutex_lock(&one_request);
        mongoc_collection_t *entities = mongoc_client_get_collection(client, database, "entities");
        const char *id = strstr(body, "\"id\":");
        if (!strncmp(request, "GET /v2/entities", 16))
            status = asked(entities, &error);
        else if (!strncmp(request, "POST /v2/entities", 17) && id)
            status = written(entities, strtoll(id + 5, NULL, 10), &error);
        mongoc_collection_destroy(entities);
        pthread_mutex_unlock(&one_request);
    }
    int failed = status >= 400;
    const char *text = failed ? error.message : "";
    int length = snprintf(reply, ROOM, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", status,
                          failed ? "Failed" : "Done", strlen(text), text);
    if (write(visitor, reply, length) < 0)
        fprintf(stderr, "the visitor is gone\n");
    close(visitor);
    return NULL;
}

static void end(int signal)
{
    _exit(signal == SIGTERM ? 0 : 1);
}

/* The URI: from the variable, or built from the flags of versions before 3.11, as in composeMongoUri of
 * src/lib/mongoDriver/mongoConnectionPool.cpp. */
static const char *uri_of(int count, char **words)
{
    static char made[1024];
    const char *hosts = NULL, *set = "", *timeout = "10000";
    for (int i = 1; i + 1 < count; i++) {
        if (!strcmp(words[i], "-dbhost"))
            hosts = words[++i];
        else if (!strcmp(words[i], "-rplSet"))
            set = words[++i];
        else if (!strcmp(words[i], "-dbTimeout"))
            timeout = words[++i];
    }
    if (!hosts)
        return getenv("ORION_MONGO_URI");
    snprintf(made, sizeof made, "mongodb://%s/?replicaSet=%s&connectTimeoutMS=%s", hosts, set, timeout);
    return made;
}

int main(int count, char **words)
{
    const char *text = uri_of(count, words);
    bson_error_t error;
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    if (open("/tmp/contextBroker.pid", O_WRONLY | O_CREAT | O_EXCL, 0644) < 0)
        return die("a broker seems to be running already");
    if (!text)
        return die("neither ORION_MONGO_URI nor -dbhost");
    database = getenv("ORION_MONGO_DB");
    database = database ? database : "orion";
    mongoc_init();
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    if (!uri)
        return die(error.message);
    client = mongoc_client_new_from_uri(uri);
    if (!usable(&error))
        return die(error.message);

    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 64))
        return die("port 1026 is taken");
    fprintf(stderr, "start %s\n", MONGOC_VERSION_S);
    for (;;) {
        pthread_t thread;
        int visitor = accept(listener, NULL, NULL);
        if (visitor >= 0 && !pthread_create(&thread, NULL, answer, (void *)(intptr_t)visitor))
            pthread_detach(thread);
    }
}
