// common/mcp_config.h -- the file that names tool servers, in the form that other chat programs use. See mcp.h.
#ifndef APPS_MCP_CONFIG_H
#define APPS_MCP_CONFIG_H

#include "common/text.h"

// Of these two, `words` or `url` is NULL. The lists end with NULL.
struct mcp_entry {
    char *name;
    char **words, **variables; // the command with its arguments; "NAME=VALUE"
    char *url, **headers;      // "Name: value"
};

struct mcp_config {
    struct mcp_entry *entries;
    size_t n_entries;
};

// False with one sentence in *fault. The config is the caller's to free in any case.
bool mcp_config_read(struct mcp_config *config, const char *path, struct text *fault);
void mcp_config_free(struct mcp_config *config);

#endif
