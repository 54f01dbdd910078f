// server/gate.h -- who may ask: decided from the bytes of three headers, without any state.
//
// A web page that a user happens to visit can send requests to this machine. Two headers tell it from a program:
// Origin, which a browser always adds across sites, and Host, which names the page's own site when its DNS entry was
// turned to a loopback address after loading.
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include <stdbool.h>
#include <stddef.h>

// An address or name that no other machine can reach: localhost, *.localhost, 127.*, ::1. Ports and brackets allowed.
bool gate_is_loopback(const char *host);

// Whether a request with this Host header (NULL: none) may be meant for a server that listens on `bound`. One that is
// reachable from outside has names that we cannot know, and a key.
bool gate_host_allowed(const char *host, const char *bound);

// Whether a page of this Origin (NULL: no page) may use the server: pages of this machine, and the server's own.
bool gate_origin_allowed(const char *origin, const char *host);

// Whether "Bearer KEY" or a bare key is the wanted one. The time it takes depends on the given one's length alone.
bool gate_key_matches(const char *authorization, const char *x_api_key, const char *wanted);

#endif
