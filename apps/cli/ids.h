// cli/ids.h -- lists of token ids that a user or another program wrote.
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include "common/text.h"

// Reads "[2, 9259]" or "2,9259" into *ids, to be freed. On failure: false, and one sentence in *fault.
bool ids_parse(const char *list, size_t size, uint32_t **ids, size_t *n_ids, struct text *fault);

#endif
