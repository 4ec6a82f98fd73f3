// The floor: one Redis subscription and one loop with a send() per client, nothing else. It is no server to imitate: it
// answers every handshake with one accept key, ignores what clients send, and waits for slow ones.
//
//   PORT=9000 REDIS_PORT=6379 REDIS_PASSWORD=secret CHANNEL=bench loop
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES = 1 << 20, BUFFER = 4 << 20 };

static int clients[FILES], count;
static char shaken[FILES]; // by file descriptor: whether its handshake was answered
static unsigned char buffer[BUFFER + 1];

static void broadcast(const unsigned char *data, size_t size) {
    static unsigned char frame[BUFFER + 16];
    size_t head = size < 126 ? 2 : size < 65536 ? 4 : 10;
    frame[0] = 0x81;
    frame[1] = head == 2 ? size : head == 4 ? 126 : 127;
    for (size_t i = 2; i < head; i++)
        frame[i] = size >> 8 * (head - 1 - i);
    memcpy(frame + head, data, size);
    for (int i = 0; i < count; i++)
        send(clients[i], frame, head + size, MSG_NOSIGNAL);
}

// Reads one push `*3 $7 message $n channel $n payload` of Redis. Returns its size, 0 if it is incomplete.
static size_t redis_push(unsigned char *p, size_t size) {
    unsigned char *at = memchr(p, '\n', size), *end = p + size, *part[3];
    long length[3];
    if (!at)
        return 0;
    if (*p != '*')
        return at + 1 - p; // the reply to AUTH
    at++;
    for (int i = 0; i < 3; i++) {
        unsigned char *line = at < end ? memchr(at, '\n', end - at) : 0;
        if (!line)
            return 0;
        length[i] = *at == ':' ? 0 : atol((char *)at + 1); // an integer in the reply to SUBSCRIBE
        part[i] = line + 1;
        at = *at == ':' ? line + 1 : part[i] + length[i] + 2;
        if (at > end)
            return 0;
    }
    if (length[0] == 7 && !memcmp(part[0], "message", 7))
        broadcast(part[2], length[2]);
    return at - p;
}

static void read_redis(int redis) {
    static size_t have;
    size_t used = 0, size;
    ssize_t came = read(redis, buffer + have, BUFFER - have);
    if (came <= 0)
        exit(1);
    have += came;
    while (used < have && (size = redis_push(buffer + used, have - used)))
        used += size;
    memmove(buffer, buffer + used, have -= used);
}

static void read_client(int client) {
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char ignored[4096];
    if (read(client, ignored, sizeof ignored) <= 0) {
        for (int i = 0; i < count; i++)
            if (clients[i] == client) {
                clients[i] = clients[--count];
                break;
            }
        close(client);
    } else if (!shaken[client]) {
        shaken[client] = 1;
        clients[count++] = client;
        send(client, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "loop: %s is not set\n", name);
        exit(2);
    }
    return value;
}

static void watch(int poller, int file) {
    epoll_ctl(poller, EPOLL_CTL_ADD, file, &(struct epoll_event){.events = EPOLLIN, .data.fd = file});
}

int main(void) {
    int on = 1, poller = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), redis = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons(atoi(setting("REDIS_PORT")));
    if (connect(redis, (void *)&at, sizeof at)) {
        perror("loop: redis");
        return 1;
    }
    dprintf(redis, "AUTH %s\r\nSUBSCRIBE %s\r\n", setting("REDIS_PASSWORD"), setting("CHANNEL"));
    at.sin_port = htons(atoi(setting("PORT")));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) {
        perror("loop: listen");
        return 1;
    }
    watch(poller, listener);
    watch(poller, redis);
    for (struct epoll_event events[512];;) {
        int ready = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int file = events[i].data.fd;
            if (file == redis) {
                read_redis(redis);
            } else if (file != listener) {
                read_client(file);
            } else if ((file = accept(listener, 0, 0)) >= 0) {
                setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                shaken[file] = 0;
                watch(poller, file);
            }
        }
    }
}
