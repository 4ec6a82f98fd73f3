// What wsload measures with: clocks, a histogram, and numbers in text.
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double now(void) {
    return (double)now_ns() / 1e9;
}

static double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

// A log-linear histogram of nanoseconds with 64 steps per power of two: a resolution of 1.6 % in constant memory.
enum { STEPS = 64, BUCKETS = 60 * STEPS };

typedef struct {
    uint64_t counts[BUCKETS], total, largest;
} Histogram;

static void histogram_add(Histogram *h, uint64_t ns) {
    uint64_t bucket = ns;
    if (ns >= STEPS) {
        int exponent = 63 - __builtin_clzll(ns);
        bucket = (uint64_t)(exponent - 5) * STEPS + ((ns >> (exponent - 6)) & (STEPS - 1));
    }
    h->counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    h->total++;
    if (ns > h->largest)
        h->largest = ns;
}

// The middle of a bucket, in milliseconds.
static double histogram_middle(int bucket) {
    if (bucket < STEPS)
        return bucket / 1e6;
    uint64_t start = (uint64_t)(STEPS + bucket % STEPS) << (bucket / STEPS - 1);
    return (double)start * (1 + 0.5 / STEPS) / 1e6;
}

// The quantile `q` in milliseconds; 0 of an empty histogram.
static double histogram_quantile(const Histogram *h, double q) {
    uint64_t wanted = (uint64_t)(q * (double)h->total + 0.999999), seen = 0;
    double largest = (double)h->largest / 1e6;
    for (int i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen && seen >= wanted)
            return histogram_middle(i) < largest ? histogram_middle(i) : largest;
    }
    return 0;
}

// The integer behind a key, over quotes, colons and the backslashes of JSON in JSON. Moves *p behind it.
static uint64_t integer(unsigned char **p, const unsigned char *end) {
    uint64_t value = 0;
    while (*p < end && strchr("\":, \\n", **p) && **p)
        (*p)++;
    while (*p < end && **p >= '0' && **p <= '9')
        value = value * 10 + (*(*p)++ - '0');
    return value;
}
