/* The same work as the other clients do, in C on librabbitmq: what one core can do where no Python is in the way.
 *
 *   c_client publish URL EXCHANGE KEY COUNT WINDOW SIZE     confirmed, WINDOW in flight
 *   c_client consume URL QUEUE COUNT PREFETCH ACK_EVERY     acks every ACK_EVERY-th delivery, multiple when > 1
 *
 * Prints one line of JSON: {"count": …, "sent": …, "seconds": …, "cpu": …}; waits for the end of its input; ends.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static amqp_connection_state_t connection;

static void fail(const char *what) {
    fprintf(stderr, "c_client: %s\n", what);
    exit(1);
}

static void must(int status, const char *what) {
    if (status != AMQP_STATUS_OK) {
        fprintf(stderr, "c_client: %s: %s\n", what, amqp_error_string2(status));
        exit(1);
    }
}

static void must_answer(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double began, cpu_began;

static void begin(void) {
    began = seconds_of(CLOCK_MONOTONIC);
    cpu_began = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void report(long count, long sent) {
    double took = seconds_of(CLOCK_MONOTONIC) - began, cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
    unsigned version = amqp_version_number();
    printf("{\"count\": %ld, \"sent\": %ld, \"seconds\": %.6f, \"cpu\": %.6f, "
           "\"versions\": {\"librabbitmq\": \"%u.%u.%u\"}}\n",
           count, sent, took, cpu, version >> 24, version >> 16 & 255, version >> 8 & 255);
    fflush(stdout);
    while (getchar() != EOF) {
    }
}

static void open_connection(char *url) {
    struct amqp_connection_info info;
    amqp_default_connection_info(&info);
    must(amqp_parse_url(url, &info), "the URL");
    connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (socket == NULL) fail("no socket");
    must(amqp_socket_open(socket, info.host, info.port), "connecting");
    must_answer(amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password),
                "login");
    amqp_channel_open(connection, 1);
    must_answer(amqp_get_rpc_reply(connection), "opening the channel");
}

/* One answer of the broker, waited for or not; how many publishes it answers. */
static long confirmed(int wait, uint64_t *highest) {
    amqp_frame_t frame;
    struct timeval no_time = {0, 0};
    if (!wait) {
        int status = amqp_simple_wait_frame_noblock(connection, &frame, &no_time);
        if (status == AMQP_STATUS_TIMEOUT) return 0;
        must(status, "waiting for a confirm");
    } else {
        must(amqp_simple_wait_frame(connection, &frame), "waiting for a confirm");
    }
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        fail("something else than a confirm came");
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    amqp_maybe_release_buffers(connection);
    if (!ack->multiple) return 1;
    long answered = (long)(ack->delivery_tag - *highest);
    *highest = ack->delivery_tag;
    return answered;
}

/* Quorum queues confirm in order on one channel, so that confirms need no table: the highest tag tells. */
static void publish(const char *exchange, const char *key, long count, long window, long size) {
    amqp_confirm_select(connection, 1);
    must_answer(amqp_get_rpc_reply(connection), "confirm.select");
    char *body = malloc((size_t)size + 512);
    amqp_basic_properties_t properties;
    memset(&properties, 0, sizeof properties);
    properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                        AMQP_BASIC_TYPE_FLAG;
    properties.content_type = amqp_cstring_bytes("application/json");
    properties.delivery_mode = 2;
    properties.type = amqp_cstring_bytes(key);
    long sent = 0, answered = 0;
    uint64_t highest = 0;
    char id[48];
    begin();
    while (answered < count) {
        if (sent < count && sent - answered < window) {
            snprintf(id, sizeof id, "evt_%032ld", sent);
            properties.message_id = amqp_cstring_bytes(id);
            int length = snprintf(body, (size_t)size + 512,
                                  "{\"event_id\":\"%s\",\"event_type\":\"%s\",\"timestamp\":\"2025-02-15T10:00:00Z\","
                                  "\"version\":\"1.0\",\"data\":{\"order_id\":%ld,\"user_id\":2,\"total\":\"99.99\","
                                  "\"note\":\"",
                                  id, key, sent);
            if (length < size - 3) {
                memset(body + length, 'n', (size_t)(size - 3 - length));
                length = (int)size - 3;
            }
            memcpy(body + length, "\"}}", 3);
            amqp_bytes_t bytes = {(size_t)length + 3, body};
            must(amqp_basic_publish(connection, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0,
                                    &properties, bytes),
                 "publishing");
            sent++;
            if (sent - answered < window && sent % 16) continue; /* a look at the socket costs a system call */
        }
        long more = confirmed(sent == count || sent - answered >= window, &highest);
        answered += more;
        /* Take what has come already: singly confirmed tags count up as well. */
        if (more == 1 && (uint64_t)answered > highest) highest = (uint64_t)answered;
    }
    report(count, count);
}

static void consume(const char *queue, long count, long prefetch, long ack_every) {
    amqp_basic_qos(connection, 1, 0, (uint16_t)prefetch, 0);
    must_answer(amqp_get_rpc_reply(connection), "basic.qos");
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    must_answer(amqp_get_rpc_reply(connection), "basic.consume");
    long seen = 0;
    while (seen < count) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        must_answer(amqp_consume_message(connection, &envelope, NULL, 0), "consuming");
        if (!seen) begin();
        seen++;
        if (ack_every == 1 || seen % ack_every == 0 || seen == count)
            must(amqp_basic_ack(connection, 1, envelope.delivery_tag, ack_every > 1), "acking");
        amqp_destroy_envelope(&envelope);
    }
    report(count, 0);
}

int main(int count, char **words) {
    if (count == 8 && !strcmp(words[1], "publish")) {
        open_connection(words[2]);
        publish(words[3], words[4], atol(words[5]), atol(words[6]), atol(words[7]));
    } else if (count == 7 && !strcmp(words[1], "consume")) {
        open_connection(words[2]);
        consume(words[3], atol(words[4]), atol(words[5]), atol(words[6]));
    } else {
        fprintf(stderr, "c_client: publish URL EXCHANGE KEY COUNT WINDOW SIZE | consume URL QUEUE COUNT PREFETCH ACK_EVERY\n"
                        "librabbitmq %s\n", amqp_version());
        return 1;
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    return 0;
}
