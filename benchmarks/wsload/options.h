// The command line of wsload. The options are described at the top of wsload.c.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 128 }; // of each option that may be repeated

typedef struct {
    const char *path, *sends[MOST];
    int count;
} Target;

static struct {
    const char *headers[MOST], *await, *reply_in, *reply_out, *progress;
    int connections, in_flight, header_count, target_count, several, deflate, retry, port;
    double settle, patience;
    char host[64];
    Target targets[MOST];
} options = {.connections = 1, .in_flight = 100, .settle = 1, .patience = 120};

static int usage(void) {
    fprintf(stderr, "usage: wsload -n N [options] HOST:PORT   (the options are at the top of wsload.c)\n");
    return 2;
}

// Fills `options`. Returns the exit status: 0, or 2 after an explanation.
static int read_options(int argc, char **argv) {
    Target *target = options.targets;
    *target = (Target){.path = "/"};
    for (int option; (option = getopt(argc, argv, "n:i:u:s:H:a:r:w:t:p:mzR")) != -1;) {
        if (option == 'n') {
            options.connections = atoi(optarg);
        } else if (option == 'i') {
            options.in_flight = atoi(optarg);
        } else if (option == 'u' && options.target_count < MOST) {
            target = &options.targets[options.target_count++];
            target->path = optarg;
        } else if (option == 's' && target->count < MOST) {
            target->sends[target->count++] = optarg;
        } else if (option == 'H' && options.header_count < MOST) {
            options.headers[options.header_count++] = optarg;
        } else if (option == 'a') {
            options.await = optarg;
        } else if (option == 'r' && strchr(optarg, '=')) {
            options.reply_in = strsep(&optarg, "=");
            options.reply_out = optarg;
        } else if (option == 'w') {
            options.settle = atof(optarg);
        } else if (option == 't') {
            options.patience = atof(optarg);
        } else if (option == 'p') {
            options.progress = optarg;
        } else if (option == 'm') {
            options.several = 1;
        } else if (option == 'z') {
            options.deflate = 1;
        } else if (option == 'R') {
            options.retry = 1;
        } else {
            return usage();
        }
    }
    if (!options.target_count)
        options.target_count = 1;
    if (optind >= argc || sscanf(argv[optind], "%63[^:]:%d", options.host, &options.port) != 2)
        return usage();
    return 0;
}
