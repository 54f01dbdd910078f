// common/absent/mcp_http.c -- in place of mcp_http.c where libcurl is missing.
#include "common/mcp_link.h"

struct mcp_link *mcp_http_open(const char *url, const char *const *headers, struct text *why)
{
    (void)url, (void)headers;
    app_text_add(why, "is spoken to by HTTP, for which this build lacks libcurl");
    return NULL;
}
