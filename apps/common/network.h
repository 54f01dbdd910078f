// common/network.h -- sockets that are waited for elsewhere: to listen at an address, and what is set on connections.
//
// With platform.c and process.c the only place in apps/ that knows POSIX from Win32. Sockets are intptr_t here,
// whatever the system calls them; -1 is none.
#ifndef APPS_NETWORK_H
#define APPS_NETWORK_H

#include "common/text.h"

bool network_start(void); // before any other use of sockets, by libraries too; more than once does no harm

// Listens at the first address that the host's name has; port 0 is any free one. No other program can listen there at
// the same time, and programs that this one starts do not get the socket. Errors  -1, and one sentence in *fault
intptr_t network_listen(const char *host, uint16_t port, struct text *fault);
void network_close(intptr_t socket);

void network_url(intptr_t socket, struct text *url); // appends where it listens, such as "http://[::1]:8080"
void network_no_delay(intptr_t socket);              // small pieces leave at once
void network_hang_up(intptr_t socket); // both directions end; whoever waits for the socket, here too, sees it

#endif
