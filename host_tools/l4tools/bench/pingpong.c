// UDP load for the bench: a server that does nothing, and a client that sends prepared frames.
//   pingpong serve CPU LENGTH                answers every datagram with LENGTH bytes; prints its port
//   pingpong lat CPU FD FILE FIRST N LENGTH  one at a time: microseconds of each round trip
//   pingpong pipe CPU FD FILE FIRST N LENGTH SECONDS WINDOW   as many as it can, WINDOW under way
// FILE holds frames of LENGTH bytes, each good for one use; FIRST is the first one to use.
// FD is an inherited, connected socket, so the answers come to an address that was proven before.
// An answer counts when it is an ANSWER (type 5) with status 0, or comes from `serve`.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATUS (28 + 4)

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (cpu >= 0 && sched_setaffinity(0, sizeof set, &set)) perror("pin");
}

static int good(const char *buf, long n) {
    if (n < STATUS + 1) return 0;
    return buf[0] == 0 || (buf[1] == 5 && buf[STATUS] == 0);
}

static int serve(int length) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t l = sizeof a;
    static char in[2048], out[2048];
    if (bind(s, (void *)&a, l) || getsockname(s, (void *)&a, &l)) return 1;
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        l = sizeof a;
        if (recvfrom(s, in, sizeof in, 0, (void *)&a, &l) >= 0)
            sendto(s, out, length, 0, (void *)&a, l);
    }
}

static int latency(int fd, const char *frames, long first, long n, int length) {
    struct timeval limit = {1, 0};
    static char buf[2048];
    double *d = malloc(n * sizeof *d);
    long got = 0, lost = 0, bad = 0, size = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (long i = 0; i < n && lost < 5; i++) {
        double t = now_us();
        if (send(fd, frames + (first + i) * length, length, 0) < 0) perror("send");
        long r = recv(fd, buf, sizeof buf, 0);
        if (r < 0) { lost++; continue; }
        if (!good(buf, r)) { bad++; continue; }
        size = r;
        d[got++] = now_us() - t;
    }
    qsort(d, got, sizeof *d, ascending);
    if (!got) d[0] = 0;
    printf("{\"used\":%ld,\"got\":%ld,\"lost\":%ld,\"bad\":%ld,\"size\":%ld,\"p50\":%.2f,\"p99\":%.2f}\n",
           n, got, lost, bad, size, d[got / 2], d[got * 99 / 100]);
    return 0;
}

static int capacity(int fd, const char *frames, long first, long n, int length, double secs, int window) {
    static char buf[2048];
    long sent = 0, got = 0, lost = 0, bad = 0, out = 0;
    double t0 = now_us(), end = t0 + secs * 1e6;
    while (now_us() < end && sent < n) {
        while (out < window && sent < n) {
            if (send(fd, frames + (first + sent) * length, length, 0) < 0) break;
            sent++;
            out++;
        }
        double patience = now_us() + 1e6;
        long r;
        while ((r = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) < 0 && now_us() < patience) {}
        if (r < 0) { lost += out; out = 0; continue; }
        do {
            if (good(buf, r)) got++; else bad++;
            out--;
        } while ((r = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) >= 0);
    }
    double t = (now_us() - t0) / 1e6;
    // What is still under way belongs to the next run otherwise.
    for (double wait = now_us() + 20000; now_us() < wait;) recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    printf("{\"used\":%ld,\"got\":%ld,\"lost\":%ld,\"bad\":%ld,\"rate\":%.0f}\n", sent, got, lost, bad, got / t);
    return 0;
}

int main(int c, char **v) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlive the bench
    if (c == 4 && !strcmp(v[1], "serve")) {
        pin(atoi(v[2]));
        return serve(atoi(v[3]));
    }
    if (c < 8) return 2;
    pin(atoi(v[2]));
    int file = open(v[4], O_RDONLY);
    struct stat st;
    if (file < 0 || fstat(file, &st)) return 3;
    char *frames = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    long first = atol(v[5]), n = atol(v[6]);
    int length = atoi(v[7]);
    if ((first + n) * length > st.st_size || n < 1) return 4;
    if (!strcmp(v[1], "lat")) return latency(atoi(v[3]), frames, first, n, length);
    if (c < 10) return 2;
    return capacity(atoi(v[3]), frames, first, n, length, atof(v[8]), atoi(v[9]));
}
