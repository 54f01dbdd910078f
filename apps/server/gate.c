// server/gate.c -- Host, Origin and keys.
#include "server/gate.h"

#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(const char *a, size_t size, const char *b)
{
    for (size_t i = 0; i < size; ++i)
        if (lower(a[i]) != b[i]) // where b is shorter its end differs
            return false;
    return b[size] == '\0';
}

static bool all_digits(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

// Without port and brackets. False when what follows the name is no port.
static bool split(const char *host, const char **name, size_t *size)
{
    const char *rest;
    if (*host == '[') {
        *name = host + 1;
        *size = strcspn(host + 1, "]");
        rest = host + 1 + *size;
        if (*rest++ != ']')
            return false;
    } else {
        const char *first = strchr(host, ':');
        const bool address = first && strchr(first + 1, ':'); // a bare IPv6 address
        *name = host;
        *size = address ? strlen(host) : strcspn(host, ":");
        rest = host + *size;
    }
    return *size > 0 && (*rest == '\0' || (*rest == ':' && all_digits(rest + 1)));
}

static bool is_loopback_address(const char *name, size_t size)
{
    size_t dots = 0;
    for (size_t i = 0; i < size; ++i)
        if (name[i] == '.')
            dots++;
        else if (name[i] < '0' || name[i] > '9')
            return false; // such as 127.0.0.1.example.com
    return dots == 3 && size > 4 && memcmp(name, "127.", 4) == 0;
}

bool gate_is_loopback(const char *host)
{
    static const char suffix[] = ".localhost";
    const char *name;
    size_t size;
    if (!split(host, &name, &size))
        return false;
    return same(name, size, "localhost") || same(name, size, "::1") || is_loopback_address(name, size) ||
           (size > sizeof suffix - 1 && same(name + size - (sizeof suffix - 1), sizeof suffix - 1, suffix));
}

bool gate_host_allowed(const char *host, const char *bound)
{
    const char *name;
    size_t size;
    return host && split(host, &name, &size) && (gate_is_loopback(host) || !gate_is_loopback(bound));
}

bool gate_origin_allowed(const char *origin, const char *host)
{
    if (!origin)
        return true;
    const char *scheme = strstr(origin, "://");
    const size_t size = scheme ? (size_t)(scheme - origin) : 0;
    if (!scheme || !(same(origin, size, "http") || same(origin, size, "https")))
        return false;
    const char *place = scheme + 3;
    return gate_is_loopback(place) || (host && strcmp(place, host) == 0);
}

// Both strings are walked through by the length of the given one.
static bool equal(const char *given, const char *wanted)
{
    const size_t n_given = strlen(given), n_wanted = strlen(wanted);
    volatile unsigned char differs = n_given != n_wanted;
    for (size_t i = 0; i < n_given; ++i)
        differs = (unsigned char)(differs | (given[i] ^ wanted[n_wanted ? i % n_wanted : 0]));
    return !differs;
}

bool gate_key_matches(const char *authorization, const char *x_api_key, const char *wanted)
{
    if (authorization && same(authorization, strlen(authorization) < 7 ? strlen(authorization) : 7, "bearer "))
        return equal(authorization + 7, wanted);
    return x_api_key && equal(x_api_key, wanted);
}
