// server/page.c -- the files of the web page, inside the program.
#include <stdio.h>
#include <string.h>

#include "server/routes.h"

// The assembler takes the files as they are. page/build.js makes them.
#define EMBED(name, file)                                  \
    __asm__(".section .rodata\n"                           \
            "karat_page_" #name "_begin:\n"                \
            ".incbin \"" KARAT_PAGE_FOLDER "/" file "\"\n" \
            "karat_page_" #name "_end:\n"                  \
            ".byte 0\n"                                    \
            ".text\n");                                    \
    extern const char karat_page_##name##_begin[], karat_page_##name##_end[];

// Name, path under "/", file, type.
#define PAGE_FILES(X)                                                 \
    X(index, "", "index.html", "text/html; charset=utf-8")            \
    X(script, "page.js", "page.js", "text/javascript; charset=utf-8") \
    X(style, "page.css", "page.css", "text/css; charset=utf-8")       \
    X(licences, "licences.txt", "licences.txt", "text/plain; charset=utf-8")

#define PAGE_EMBED(name, path, file, type) EMBED(name, file)
PAGE_FILES(PAGE_EMBED)
#undef PAGE_EMBED

static const struct file {
    const char *path, *type, *begin, *end;
} files[] = {
#define PAGE_ROW(name, path, file, type) { path, type, karat_page_##name##_begin, karat_page_##name##_end },
    PAGE_FILES(PAGE_ROW)
#undef PAGE_ROW
};

// Nothing runs or loads but what comes from here, whatever an answer contains; no other page may frame this one.
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// FNV-1a of the contents, so that a browser asks again after an update and gets nothing sent twice.
static uint64_t hash_of(const struct file *file)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = file->begin; at < file->end; ++at)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    return hash;
}

static void send_file(struct exchange *x, const struct file *file)
{
    char tag[24];
    snprintf(tag, sizeof tag, "\"%016llx\"", (unsigned long long)hash_of(file));
    exchange_add_header(x, "ETag", tag);
    exchange_add_header(x, "Cache-Control", "no-cache");
    exchange_add_header(x, "Content-Security-Policy", policy);
    exchange_add_header(x, "X-Content-Type-Options", "nosniff");
    exchange_add_header(x, "Referrer-Policy", "no-referrer");
    const char *known = exchange_header(x, "If-None-Match");
    const bool same = known && strcmp(known, tag) == 0;
    struct text body = { 0 };
    if (!same)
        app_text_append(&body, file->begin, (size_t)(file->end - file->begin));
    exchange_reply(x, same ? 304 : 200, file->type, &body);
    app_text_free(&body);
}

void serve_page(struct exchange *x)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(x->request));
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
        if (strcmp(path && *path ? path + 1 : "", files[i].path) == 0) {
            send_file(x, &files[i]);
            return;
        }
    struct fault fault;
    fault_set(&fault, ERROR_MISSING, NULL, "there is no file %s", path ? path : "");
    exchange_fail(x, &fault);
}
