// common/files.c -- whole files and streams in and out.
#include "common/files.h"

#include <errno.h>
#include <string.h>

#include "common/platform.h"

static bool read_all(FILE *file, const char *name, struct text *out, struct text *fault)
{
    size_t n;
    do {
        app_text_reserve(out, 65536);
        n = fread(out->data + out->size, 1, 65536, file);
        out->size += n;
        out->data[out->size] = '\0';
    } while (n > 0);
    if (ferror(file))
        app_text_format(fault, "cannot read %s: %s", name, strerror(errno));
    return !ferror(file);
}

bool files_read_stdin(struct text *out, struct text *fault)
{
    platform_binary(stdin);
    return read_all(stdin, "the standard input", out, fault);
}

bool files_read(const char *path, struct text *out, struct text *fault)
{
    FILE *file = platform_open(path, "rb");
    if (!file) {
        app_text_format(fault, "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    const bool good = read_all(file, path, out, fault);
    fclose(file);
    return good;
}

bool files_write(const char *path, const char *bytes, size_t size, struct text *fault)
{
    FILE *file = platform_open(path, "wb");
    bool good = file && fwrite(bytes, 1, size, file) == size;
    if (file && fclose(file) != 0)
        good = false;
    if (!good)
        app_text_format(fault, "cannot write %s: %s", path, strerror(errno));
    return good;
}

bool files_flush_stdout(struct text *fault)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno == EPIPE)
        app_text_add(fault, "the reader of the standard output went away before the end");
    else
        app_text_format(fault, "cannot write the standard output: %s", strerror(errno));
    return false;
}
