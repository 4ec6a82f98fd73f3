// wsload: opens N WebSocket connections, waits until all are live, then counts messages and how late they are.
//
//   wsload -n N [options] 127.0.0.1:9000
//     -u PATH       path to connect to; repeatable: connection i takes path i modulo their number
//     -s TEXT       text frame sent once open, by the connections of the last -u; repeatable
//     -H 'K: V'     extra request header; repeatable
//     -a TEXT       a connection is live only after a frame that contains TEXT (a confirmed subscription)
//     -r IN=OUT     answers a line of text that is exactly IN with OUT (pings of Engine.IO '2=3', of Centrifugo
//     '{}={}') -m            a frame may hold several messages, each with its mark -z            offers
//     permessage-deflate. Nothing is inflated: each data frame counts as a message without a mark -i N handshakes in
//     flight (100)                       -R    connects again where a handshake failed -t S          seconds until it
//     gives up connecting (120)      -w S  seconds to settle after the last one (1) -p FILE       writes the number of
//     messages to FILE (a native uint64, mapped) for a publisher that waits for it
//
// Prints `READY {json}`, then obeys lines on standard input: `count EXPECTED IDLE FIRST MESSAGES` counts from zero
// until EXPECTED messages arrived or none came for IDLE seconds, and prints `COUNTING`, then a line of JSON. End of
// file ends it.
//
// The mark of a message is `"sent_ns":T,"n":N`, with T of CLOCK_MONOTONIC and a number from FIRST to FIRST + MESSAGES -
// 1; others are counted as strays. Per connection a bit per number shows whether a message came twice.
#define _GNU_SOURCE
#include "measure.h"
#include "options.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, BUFFER = 16 << 20, PER_ADDRESS = 25000 };

typedef struct {
    int fd;
    enum { CONNECTING, HANDSHAKE, OPEN, LIVE, GONE } state;
    const Target *target;
    unsigned char *part; // bytes of an incomplete frame or handshake, carried to the next read
    size_t part_size;
    unsigned char *seen; // a bit per number
    long last;           // the highest number so far
} Connection;

static struct {
    uint64_t messages, bytes, other, strays, twice, disorder, first_ns, last_ns;
    Histogram late;
    long first, span; // numbers that count: first ... first + span - 1
    int counting;
} tally;

static Connection *connections, **queue; // the queue holds those that have to connect, from `started` to `queued`
static int poller, queued, started, pending, failed, live, gone;
static uint64_t *progress;
static unsigned char *buffer;

static void enqueue(Connection *c) {
    queue[queued++ % options.connections] = c;
}

static void drop(Connection *c) {
    if (c->state < OPEN) {
        pending--;
        failed++;
        if (options.retry)
            enqueue(c);
    } else {
        gone++;
        live -= c->state == LIVE;
    }
    c->state = GONE;
    close(c->fd);
}

// Sends a frame masked with the zero key, so that its payload needs no change.
static void send_frame(Connection *c, int opcode, const void *data, size_t size) {
    unsigned char frame[70000];
    size_t head = 2;
    if (size > 65535)
        return;
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (size < 126 ? size : 126);
    if (size >= 126) {
        frame[2] = size >> 8;
        frame[3] = size & 255;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, data, size);
    if (send(c->fd, frame, head + 4 + size, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        perror("wsload: send");
}

static void start_connect(void) {
    Connection *c = queue[started++ % options.connections];
    int index = c - connections;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        perror("wsload: socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.connections > PER_ADDRESS) { // one source address has about 28,000 ports
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + index / PER_ADDRESS)};
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        bind(c->fd, (void *)&from, sizeof from);
    }
    inet_pton(AF_INET, options.host, &to.sin_addr);
    c->target = &options.targets[index % options.target_count];
    c->state = CONNECTING;
    c->part_size = 0;
    pending++;
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) {
        perror("wsload: connect");
        drop(c);
    }
}

static void send_request(Connection *c) {
    char text[8192];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s",
                        c->target->path, options.host, options.port,
                        options.deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    for (int i = 0; i < options.header_count; i++)
        size += snprintf(text + size, sizeof text - size, "%s\r\n", options.headers[i]);
    size += snprintf(text + size, sizeof text - size, "\r\n");
    if (send(c->fd, text, size, MSG_NOSIGNAL) != size) {
        drop(c);
        return;
    }
    c->state = HANDSHAKE;
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

// Consumes the head of the response. Returns its size, 0 if it is incomplete, -1 if the server refused.
static long handshake(Connection *c, unsigned char *p, size_t size) {
    unsigned char *end = memmem(p, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(p, "HTTP/1.1 101", 12)) {
        if (!failed)
            fprintf(stderr, "wsload: refused: %.*s\n", (int)(size > 400 ? 400 : size), p);
        return -1;
    }
    pending--;
    c->state = options.await ? OPEN : LIVE;
    live += c->state == LIVE;
    for (int i = 0; i < c->target->count; i++)
        send_frame(c, 1, c->target->sends[i], strlen(c->target->sends[i]));
    return end + 4 - p;
}

static void count_message(uint64_t at) {
    if (!tally.messages++)
        tally.first_ns = at;
    tally.last_ns = at;
}

// Counts a marked message; p is behind `sent_ns`.
static void marked(Connection *c, unsigned char **p, const unsigned char *end, uint64_t at) {
    uint64_t sent = integer(p, end);
    long number = (long)integer(p, end) - tally.first;
    if (!tally.counting || number < 0 || number >= tally.span) {
        tally.strays++;
        return;
    }
    if (c->seen[number / 8] & 1 << number % 8) {
        tally.twice++;
        return;
    }
    c->seen[number / 8] |= 1 << number % 8;
    tally.disorder += number < c->last;
    c->last = number;
    histogram_add(&tally.late, at > sent ? at - sent : 0);
    count_message(at);
}

// Answers the pings in a text frame: its lines, as several messages may share it.
static void answer_pings(Connection *c, const unsigned char *line, const unsigned char *end) {
    for (size_t size = strlen(options.reply_in); line < end; line++) {
        const unsigned char *rest = memchr(line, '\n', end - line);
        rest = rest ? rest : end;
        if ((size_t)(rest - line) == size && !memcmp(line, options.reply_in, size))
            send_frame(c, 1, options.reply_out, strlen(options.reply_out));
        line = rest;
    }
}

static void data_frame(Connection *c, int opcode, unsigned char *p, size_t size, uint64_t at) {
    unsigned char *end = p + size, *mark = p;
    int found = 0;
    if (options.deflate) {
        if (tally.counting)
            count_message(at);
        return;
    }
    if (opcode == 1 && options.reply_in)
        answer_pings(c, p, end);
    while ((!found || options.several) && (mark = memmem(mark, end - mark, "sent_ns", 7))) {
        mark += 7;
        found = 1;
        marked(c, &mark, end, at);
    }
    if (found)
        return;
    tally.other++;
    if (c->state == OPEN && options.await && memmem(p, size, options.await, strlen(options.await))) {
        c->state = LIVE;
        live++;
    }
}

// Handles every complete frame of [p, p + size). Returns the number of bytes consumed.
static size_t parse(Connection *c, unsigned char *p, size_t size, uint64_t at) {
    unsigned char *start = p, *end = p + size;
    while (end - p >= 2 && c->state != GONE) {
        uint64_t length = p[1] & 127;
        size_t head = length < 126 ? 2 : length == 126 ? 4 : 10;
        if ((size_t)(end - p) < head)
            break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++)
                length = length << 8 | p[i];
        }
        if ((uint64_t)(end - p) < head + length)
            break;
        int opcode = p[0] & 15;
        if (opcode <= 2) {
            data_frame(c, opcode, p + head, length, at);
        } else if (opcode == 9) {
            send_frame(c, 10, p + head, length);
        } else if (opcode == 8) {
            send_frame(c, 8, p + head, length < 2 ? 0 : 2);
            drop(c);
        }
        p += head + length;
    }
    return p - start;
}

static void readable(Connection *c) {
    size_t used = 0;
    if (c->part_size + CHUNK > BUFFER) {
        fprintf(stderr, "wsload: a frame is larger than %d bytes\n", BUFFER);
        exit(1);
    }
    if (c->part_size)
        memcpy(buffer, c->part, c->part_size);
    ssize_t came = read(c->fd, buffer + c->part_size, CHUNK);
    if (came < 0 && errno == EAGAIN)
        return;
    if (came <= 0) {
        drop(c);
        return;
    }
    tally.bytes += came;
    size_t size = c->part_size + came;
    if (c->state == HANDSHAKE) {
        long head = handshake(c, buffer, size);
        if (head < 0) {
            drop(c);
            return;
        }
        used = head;
    }
    if (c->state >= OPEN)
        used += parse(c, buffer + used, size - used, now_ns());
    if (c->state == GONE)
        return;
    size_t left = size - used;
    if (left != c->part_size)
        c->part = realloc(c->part, left ? left : 1);
    if (left)
        memcpy(c->part, buffer + used, left);
    c->part_size = left;
}

// One round of events. Returns whether standard input has something to read.
static int turn(int timeout_ms) {
    struct epoll_event events[1024];
    int count = epoll_wait(poller, events, 1024, timeout_ms), command = 0;
    for (int i = 0; i < count; i++) {
        Connection *c = events[i].data.ptr;
        if (!c)
            command = 1;
        else if (c->state == CONNECTING && events[i].events & (EPOLLERR | EPOLLHUP))
            drop(c);
        else if (c->state == CONNECTING)
            send_request(c);
        else if (c->state != GONE)
            readable(c);
    }
    if (progress)
        __atomic_store_n(progress, tally.messages, __ATOMIC_RELAXED);
    return command;
}

static void count(uint64_t expected, double idle, long first, long span) {
    memset(&tally, 0, sizeof tally);
    tally.first = first;
    tally.span = span;
    tally.counting = 1;
    for (int i = 0; i < options.connections; i++) {
        free(connections[i].seen);
        connections[i].seen = calloc(span / 8 + 1, 1);
        connections[i].last = 0;
    }
    if (progress)
        __atomic_store_n(progress, 0, __ATOMIC_RELAXED);
    printf("COUNTING\n");
    fflush(stdout);
    uint64_t start = now_ns();
    double cpu = own_cpu();
    int gone_before = gone;
    while (tally.messages < expected && live) {
        if (now_ns() - (tally.last_ns ? tally.last_ns : start) > idle * 1e9)
            break;
        turn(20);
    }
    tally.counting = 0;
    printf("{\"messages\":%lu,\"bytes\":%lu,\"other\":%lu,\"strays\":%lu,\"twice\":%lu,\"disorder\":%lu,\"gone\":%d,"
           "\"first_ns\":%lu,\"last_ns\":%lu,\"client_cpu_s\":%.3f",
           tally.messages, tally.bytes, tally.other, tally.strays, tally.twice, tally.disorder, gone - gone_before,
           tally.first_ns, tally.last_ns, own_cpu() - cpu);
    if (tally.late.total)
        printf(",\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f",
               histogram_quantile(&tally.late, .5), histogram_quantile(&tally.late, .9),
               histogram_quantile(&tally.late, .99), histogram_quantile(&tally.late, .999),
               (double)tally.late.largest / 1e6);
    printf("}\n");
    fflush(stdout);
}

// Shares the number of messages through a file. Returns whether that failed.
static int map_progress(const char *name) {
    int fd = open(name, O_RDWR | O_CREAT, 0644);
    if (fd < 0 || ftruncate(fd, sizeof *progress)) {
        perror(name);
        return 1;
    }
    progress = mmap(0, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return progress == MAP_FAILED;
}

int main(int argc, char **argv) {
    int status = read_options(argc, argv);
    if (status)
        return status;
    if (options.progress && map_progress(options.progress))
        return 1;
    connections = calloc(options.connections, sizeof *connections);
    queue = calloc(options.connections, sizeof *queue);
    buffer = malloc(BUFFER);
    poller = epoll_create1(0);

    double began = now();
    for (int i = 0; i < options.connections; i++)
        enqueue(&connections[i]);
    while ((started < queued || live + gone + failed < queued) && now() - began < options.patience) {
        while (started < queued && pending < options.in_flight)
            start_connect();
        turn(10);
    }
    double ended = now();
    while (now() - ended < options.settle)
        turn(10);
    printf("READY {\"established\":%d,\"failed\":%d,\"gone\":%d,\"connect_s\":%.3f}\n", live, failed, gone,
           ended - began);
    fflush(stdout);

    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &commands);
    for (char line[256];;) {
        uint64_t expected;
        double idle;
        long first, span;
        if (!turn(-1))
            continue;
        ssize_t size = read(0, line, sizeof line - 1); // a command is one write
        if (size <= 0)
            return 0;
        line[size] = 0;
        if (sscanf(line, "count %lu %lf %ld %ld", &expected, &idle, &first, &span) != 4)
            return usage();
        epoll_ctl(poller, EPOLL_CTL_DEL, 0, 0);
        count(expected, idle, first, span);
        epoll_ctl(poller, EPOLL_CTL_ADD, 0, &commands);
    }
}
