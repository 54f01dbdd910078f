// common/network.c -- sockets; POSIX and Win32 side by side.
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "common/network.h"

#include <stdio.h>
#include <string.h>

#define BACKLOG 128

#ifdef _WIN32
// ---------------------------------------------------------------------------------------------------- Win32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <winsock2.h>
// after winsock2.h
#include <windows.h>
#include <ws2tcpip.h>

#define HANG_UP SD_BOTH

bool network_start(void)
{
    WSADATA about;
    return WSAStartup(MAKEWORD(2, 2), &about) == 0; // for as long as the program lives
}

static void add_reason(struct text *out)
{
    const int number = WSAGetLastError();
    if (number == WSAEADDRINUSE || number == WSAEACCES) // the latter where the other program insists on being alone
        app_text_add(out, "Address already in use");
    else
        app_text_format(out, "error %d", number);
}

// Here the address of a program that has ended is free at once, and an option is needed against one that lives.
static bool set_up(SOCKET socket)
{
    const BOOL on = TRUE;
    SetHandleInformation((HANDLE)socket, HANDLE_FLAG_INHERIT, 0);
    return setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on) == 0;
}

void network_close(intptr_t socket)
{
    if (socket != -1)
        closesocket((SOCKET)socket);
}

#else
// ---------------------------------------------------------------------------------------------------- POSIX
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANG_UP SHUT_RDWR
typedef int SOCKET;

bool network_start(void)
{
    return true;
}

static void add_reason(struct text *out)
{
    app_text_add(out, strerror(errno));
}

// Without the option the address of a program that has just ended is taken for minutes.
static bool set_up(SOCKET socket)
{
    const int on = 1;
    return fcntl(socket, F_SETFD, FD_CLOEXEC) == 0 && setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
}

void network_close(intptr_t socket)
{
    if (socket != -1)
        close((int)socket);
}

#endif
// ---------------------------------------------------------------------------------------------------- both

static bool listen_at(intptr_t *out, const struct addrinfo *at, struct text *why)
{
    const intptr_t s = (intptr_t)socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    *out = s;
    if (s != -1 && set_up((SOCKET)s) && bind((SOCKET)s, at->ai_addr, (socklen_t)at->ai_addrlen) == 0 &&
        listen((SOCKET)s, BACKLOG) == 0)
        return true;
    add_reason(why);
    network_close(s);
    *out = -1;
    return false;
}

intptr_t network_listen(const char *host, uint16_t port, struct text *fault)
{
    const struct addrinfo wanted = { .ai_flags = AI_PASSIVE | AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    struct text why = { 0 };
    intptr_t socket = -1;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &wanted, &found) != 0)
        app_text_add(&why, "no such address");
    else
        listen_at(&socket, found, &why);
    if (socket == -1)
        app_text_format(fault, "cannot listen on %s port %u: %s", host, port, why.data);
    if (found)
        freeaddrinfo(found);
    app_text_free(&why);
    return socket;
}

void network_url(intptr_t socket, struct text *url)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    char name[64] = "", service[16] = "";
    getsockname((SOCKET)socket, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, name, sizeof name, service, sizeof service,
                NI_NUMERICHOST | NI_NUMERICSERV);
    app_text_format(url, address.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", name, service);
}

void network_no_delay(intptr_t socket)
{
    const int on = 1;
    setsockopt((SOCKET)socket, IPPROTO_TCP, TCP_NODELAY, (const void *)&on, sizeof on);
}

void network_hang_up(intptr_t socket)
{
    shutdown((SOCKET)socket, HANG_UP);
}
