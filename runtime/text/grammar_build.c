// text/grammar_build.c -- adding nodes, and what is done once to all of them.
#include <stdlib.h>

#include "text/grammar_nodes.h"

// A bounded repetition of something that may be empty is walked through turn by turn.
#define EMPTY_TURNS_MAX 64u

// ------------------------------------------------------------------------------------------------ growing

static bool grow(struct grammar_builder *b, void **items, uint32_t *capacity, uint32_t n, uint32_t n_more, size_t size,
                 uint32_t limit)
{
    if (b->no_memory || b->too_large)
        return false;
    if (n_more > limit || n > limit - n_more) {
        b->too_large = true;
        return false;
    }
    uint32_t wanted = *capacity > 0 ? *capacity : 256;
    while (wanted < n + n_more)
        wanted *= 2;
    if (wanted == *capacity)
        return true;
    void *moved = realloc(*items, (size_t)wanted * size);
    if (!moved) {
        b->no_memory = true;
        return false;
    }
    *items = moved;
    *capacity = wanted;
    return true;
}

static uint32_t add_node(struct grammar_builder *b, const struct node *node)
{
    struct grammar *g = b->grammar;
    void *nodes = g->nodes;
    const bool ok = grow(b, &nodes, &b->node_capacity, g->n_nodes, 1, sizeof *node, GRAMMAR_NODES_MAX);
    g->nodes = nodes;
    if (!ok)
        return NODE_DEAD;
    g->nodes[g->n_nodes] = *node;
    return g->n_nodes++;
}

enum karat_status grammar_builder_begin(struct grammar_builder *b, struct karat_error *err)
{
    *b = (struct grammar_builder){ .grammar = calloc(1, sizeof *b->grammar) };
    if (!b->grammar)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for a grammar");
    add_node(b, &(struct node){ .kind = NODE_KIND_STEP });
    add_node(b, &(struct node){ .kind = NODE_KIND_RETURN });
    add_node(b, &(struct node){ .kind = NODE_KIND_END });
    return KARAT_OK;
}

void grammar_destroy(struct grammar *grammar)
{
    if (!grammar)
        return;
    free(grammar->nodes);
    free(grammar->ranges);
    free(grammar->targets);
    free(grammar);
}

void grammar_builder_free(struct grammar_builder *b)
{
    grammar_destroy(b->grammar);
    b->grammar = NULL;
}

// ------------------------------------------------------------------------------------------------ nodes

uint32_t grammar_add_step(struct grammar_builder *b, const struct byte_range *ranges, uint32_t n)
{
    struct grammar *g = b->grammar;
    void *all = g->ranges;
    const bool ok = grow(b, &all, &b->range_capacity, g->n_ranges, n, sizeof *ranges, GRAMMAR_RANGES_MAX);
    g->ranges = all;
    if (!ok)
        return NODE_DEAD;
    const uint32_t first = g->n_ranges;
    for (uint32_t i = 0; i < n; ++i)
        if (ranges[i].next != NODE_DEAD)
            g->ranges[g->n_ranges++] = ranges[i];
    if (g->n_ranges == first)
        return NODE_DEAD;
    return add_node(b, &(struct node){ .kind = NODE_KIND_STEP, .first = first, .n = g->n_ranges - first });
}

uint32_t grammar_add_byte(struct grammar_builder *b, uint8_t byte, uint32_t next)
{
    return grammar_add_step(b, &(struct byte_range){ byte, byte, next }, 1);
}

uint32_t grammar_add_text(struct grammar_builder *b, struct span text, uint32_t next)
{
    for (size_t i = text.size_bytes; i-- > 0;)
        next = grammar_add_byte(b, text.data[i], next);
    return next;
}

uint32_t grammar_add_token(struct grammar_builder *b, enum parse_control control, uint32_t next)
{
    if (next == NODE_DEAD)
        return NODE_DEAD;
    return add_node(b, &(struct node){ .kind = NODE_KIND_TOKEN, .first = control, .next = next });
}

uint32_t grammar_add_split(struct grammar_builder *b, const uint32_t *targets, uint32_t n)
{
    struct grammar *g = b->grammar;
    void *all = g->targets;
    const bool ok = grow(b, &all, &b->target_capacity, g->n_targets, n, sizeof *targets, GRAMMAR_RANGES_MAX);
    g->targets = all;
    if (!ok)
        return NODE_DEAD;
    const uint32_t first = g->n_targets;
    for (uint32_t i = 0; i < n; ++i)
        if (targets[i] != NODE_DEAD)
            g->targets[g->n_targets++] = targets[i];
    if (g->n_targets - first > 1)
        return add_node(b, &(struct node){ .kind = NODE_KIND_SPLIT, .first = first, .n = g->n_targets - first });
    const uint32_t only = g->n_targets > first ? g->targets[first] : NODE_DEAD;
    g->n_targets = first;
    return only;
}

uint32_t grammar_add_either(struct grammar_builder *b, uint32_t one, uint32_t other)
{
    return grammar_add_split(b, (const uint32_t[]){ one, other }, 2);
}

uint32_t grammar_add_call(struct grammar_builder *b, uint32_t rule, uint32_t next)
{
    if (rule == NODE_DEAD || next == NODE_DEAD)
        return NODE_DEAD;
    return add_node(b, &(struct node){ .kind = NODE_KIND_CALL, .first = rule, .next = next });
}

uint32_t grammar_add_repeat(struct grammar_builder *b, uint32_t rule, uint32_t min, uint32_t max, uint32_t next)
{
    if (next == NODE_DEAD || (min > 0 && rule == NODE_DEAD) || min > max)
        return NODE_DEAD;
    if (max == 0 || rule == NODE_DEAD)
        return next;
    return add_node(b, &(struct node){ .kind = NODE_KIND_REPEAT, .first = rule, .next = next, .min = min, .max = max });
}

uint32_t grammar_reserve(struct grammar_builder *b)
{
    struct grammar *g = b->grammar;
    void *all = g->targets;
    const bool ok = grow(b, &all, &b->target_capacity, g->n_targets, 1, sizeof *g->targets, GRAMMAR_RANGES_MAX);
    g->targets = all;
    if (!ok)
        return NODE_DEAD;
    g->targets[g->n_targets] = NODE_DEAD;
    return add_node(b, &(struct node){ .kind = NODE_KIND_SPLIT, .first = g->n_targets++, .n = 1 });
}

void grammar_define(struct grammar_builder *b, uint32_t reserved, uint32_t target)
{
    if (reserved != NODE_DEAD)
        b->grammar->targets[b->grammar->nodes[reserved].first] = target;
}

// ------------------------------------------------------------------------------------------------ properties

// Whether the node fulfils a property that spreads backwards through the graph, `has` so far.
typedef bool property_fn(const struct grammar *g, const struct node *node, const uint8_t *has);

// A complete text can be reached.
static bool is_productive(const struct grammar *g, const struct node *node, const uint8_t *has)
{
    bool any = false;
    switch ((enum node_kind)node->kind) {
    case NODE_KIND_STEP:
        for (uint32_t i = 0; i < node->n; ++i)
            any |= has[g->ranges[node->first + i].next];
        return any;
    case NODE_KIND_TOKEN:
        return has[node->next];
    case NODE_KIND_SPLIT:
        for (uint32_t i = 0; i < node->n; ++i)
            any |= has[g->targets[node->first + i]];
        return any;
    case NODE_KIND_CALL:
        return has[node->first] && has[node->next];
    case NODE_KIND_REPEAT:
        return has[node->next] && (node->min == 0 || has[node->first]);
    case NODE_KIND_RETURN:
    case NODE_KIND_END:
        break;
    }
    return true;
}

// The end of the rule can be reached without a byte.
static bool is_nullable(const struct grammar *g, const struct node *node, const uint8_t *has)
{
    bool any = false;
    switch ((enum node_kind)node->kind) {
    case NODE_KIND_STEP:
    case NODE_KIND_TOKEN:
        return false;
    case NODE_KIND_SPLIT:
        for (uint32_t i = 0; i < node->n; ++i)
            any |= has[g->targets[node->first + i]];
        return any;
    case NODE_KIND_CALL:
        return has[node->first] && has[node->next];
    case NODE_KIND_REPEAT:
        return has[node->next] && (node->min == 0 || has[node->first]);
    case NODE_KIND_RETURN:
    case NODE_KIND_END:
        break;
    }
    return true;
}

// Nodes are added after those they lead to, rules after those that call them: rounds in both directions are few.
static void spread(const struct grammar *g, property_fn *property, uint8_t *has)
{
    bool changed = true;
    for (unsigned round = 0; changed; ++round) {
        changed = false;
        for (uint32_t n = 0; n < g->n_nodes; ++n) {
            const uint32_t i = round % 2 == 0 ? n : g->n_nodes - 1 - n;
            if (!has[i] && property(g, &g->nodes[i], has)) {
                has[i] = 1;
                changed = true;
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------ finishing

static void prune_node(struct grammar *g, struct node *node, const uint8_t *productive)
{
    uint32_t kept = 0;
    if (node->kind == NODE_KIND_STEP) {
        for (uint32_t i = 0; i < node->n; ++i)
            if (productive[g->ranges[node->first + i].next])
                g->ranges[node->first + kept++] = g->ranges[node->first + i];
        node->n = kept;
    } else if (node->kind == NODE_KIND_SPLIT) {
        for (uint32_t i = 0; i < node->n; ++i)
            if (productive[g->targets[node->first + i]])
                g->targets[node->first + kept++] = g->targets[node->first + i];
        node->n = kept;
    } else if (node->kind == NODE_KIND_REPEAT && !productive[node->first]) {
        node->max = 0;
    }
}

// The nodes that are reached from one without a byte: edge i of it, NODE_DEAD after the last.
static uint32_t silent_edge(const struct grammar *g, const struct node *node, uint32_t i, const uint8_t *nullable)
{
    if (node->kind == NODE_KIND_SPLIT)
        return i < node->n ? g->targets[node->first + i] : NODE_DEAD;
    if (node->kind == NODE_KIND_CALL)
        return i == 0 ? node->first : i == 1 && nullable[node->first] ? node->next : NODE_DEAD;
    if (node->kind == NODE_KIND_REPEAT)
        return i == 0 ? node->next : i == 1 && node->max > 0 ? node->first : NODE_DEAD;
    return NODE_DEAD;
}

// The first node on a circle of silent edges, NODE_DEAD without one. path and edges are scratch of n_nodes.
static uint32_t find_circle(const struct grammar *g, const uint8_t *nullable, uint8_t *colour, uint32_t *path,
                            uint32_t *edges)
{
    for (uint32_t root = 0; root < g->n_nodes; ++root) {
        uint32_t depth = 0;
        if (colour[root] != 0)
            continue;
        path[0] = root;
        edges[0] = 0;
        colour[root] = 1;
        for (;;) {
            const uint32_t next = silent_edge(g, &g->nodes[path[depth]], edges[depth]++, nullable);
            if (next == NODE_DEAD) {
                colour[path[depth]] = 2;
                if (depth-- == 0)
                    break;
            } else if (colour[next] == 1) {
                return next;
            } else if (colour[next] == 0) {
                path[++depth] = next;
                edges[depth] = 0;
                colour[next] = 1;
            }
        }
    }
    return NODE_DEAD;
}

static uint32_t find_empty_repeat(const struct grammar *g, const uint8_t *nullable)
{
    for (uint32_t i = 0; i < g->n_nodes; ++i) {
        const struct node *node = &g->nodes[i];
        const uint32_t turns = node->max == REPEAT_FOREVER ? node->min : node->max;
        if (node->kind == NODE_KIND_REPEAT && turns > EMPTY_TURNS_MAX && nullable[node->first])
            return i;
    }
    return NODE_DEAD;
}

static void find_classes(struct grammar *g)
{
    bool begins[257] = { [0] = true };
    for (uint32_t i = 0; i < g->n_nodes; ++i) {
        const struct node *node = &g->nodes[i];
        for (uint32_t j = 0; node->kind == NODE_KIND_STEP && j < node->n; ++j) {
            begins[g->ranges[node->first + j].low] = true;
            begins[g->ranges[node->first + j].high + 1] = true;
        }
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
        if (begins[byte])
            g->byte_of[g->n_classes++] = (uint8_t)byte;
        g->class_of[byte] = (uint8_t)(g->n_classes - 1);
    }
}

// What follows a repetition of characters begins with a quote or a control token.
static bool is_apart(const struct grammar *g, uint32_t next)
{
    const struct node *node = &g->nodes[next];
    if (node->kind == NODE_KIND_TOKEN)
        return true;
    return node->kind == NODE_KIND_STEP && node->n == 1 && g->ranges[node->first].low == '"' &&
           g->ranges[node->first].high == '"';
}

static enum grammar_fault examine(struct grammar *g, uint8_t *flags, uint32_t *scratch, uint32_t *node)
{
    const uint32_t n = g->n_nodes;
    uint8_t *productive = flags, *nullable = flags + n, *colour = flags + 2 * (size_t)n;
    *node = NODE_DEAD;
    spread(g, is_productive, productive);
    if (!productive[g->root])
        return GRAMMAR_FAULT_NOTHING;
    for (uint32_t i = 0; i < n; ++i)
        prune_node(g, &g->nodes[i], productive);
    spread(g, is_nullable, nullable);
    if ((*node = find_empty_repeat(g, nullable)) != NODE_DEAD)
        return GRAMMAR_FAULT_EMPTY_REPEAT;
    if ((*node = find_circle(g, nullable, colour, scratch, scratch + n)) != NODE_DEAD)
        return GRAMMAR_FAULT_LEFT_RECURSION;
    for (uint32_t i = 0; i < n; ++i)
        if (g->nodes[i].kind == NODE_KIND_REPEAT)
            g->nodes[i].follow_is_apart = is_apart(g, g->nodes[i].next);
    find_classes(g);
    return GRAMMAR_FAULT_NONE;
}

enum karat_status grammar_builder_finish(struct grammar_builder *b, uint32_t root, const char *what,
                                         struct grammar **out, enum grammar_fault *fault, uint32_t *node,
                                         struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct grammar *g = b->grammar;
    const size_t n = g->n_nodes;
    uint8_t *flags = calloc(3 * n + 1, 1);
    uint32_t *scratch = calloc(2 * n + 1, sizeof *scratch);
    *out = NULL;
    if (b->too_large)
        TRY(status_fail(err, KARAT_ERR_UNSUPPORTED, "%s is too large: its automaton has more than %u states", what,
                        GRAMMAR_NODES_MAX));
    if (b->no_memory || !flags || !scratch)
        TRY(status_fail(err, KARAT_ERR_MEMORY, "no memory for %s", what));
    g->root = root;
    *fault = examine(g, flags, scratch, node);
    if (*fault == GRAMMAR_FAULT_NONE) {
        *out = g;
        b->grammar = NULL;
    }
cleanup:
    free(flags);
    free(scratch);
    return status;
}
