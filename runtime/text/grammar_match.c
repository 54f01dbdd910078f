// text/grammar_match.c -- walking through an automaton, and which tokens can come next.
//
// A frame is a node, how often it has been repeated, and the frame to return to: a stack is a chain of frames, and
// equal stacks are one. A state is the set of stacks that the text so far can have led to, each at a node that waits
// for a byte or a token. Frames, states and the steps between states are found once and kept, so what grows with the
// answer is only what is new in it; when they are many, all but the present state are forgotten.
//
// A mask is a walk through the tree of all tokens with these steps. In a string nearly every token is allowed: those of
// plain characters alone are known beforehand, and only the others are walked.
#include <stdlib.h>

#include "text/grammar_index.h"

// Beyond the soft limits everything is forgotten between two tokens, beyond the hard ones the text is given up.
#define FRAMES_SOFT 200000u
#define FRAMES_HARD 2000000u
#define STATES_SOFT 20000u
#define STATES_HARD 200000u
#define MASKS_MAX 128u
#define STATE_FRAMES_MAX 4096u

#define NONE UINT32_MAX
#define DEAD 0u // the state without frames

struct frame {
    uint32_t node, count, parent, hash_next;
    uint32_t mark; // the closure that has seen it
};

struct state {
    uint32_t first, n; // in lists
    uint32_t hash_next;
    uint32_t mask; // in masks, NONE: not made
    bool complete;
};

struct mask {
    uint32_t *bits;
    uint32_t state;
};

struct matcher {
    const struct grammar *grammar;
    const struct token_index *index;
    uint32_t state;
    bool ended; // a token that ends a turn was accepted
    bool too_many, no_memory;
    struct frame *frames;
    struct state *states;
    uint32_t *lists;                     // frames of states
    uint32_t *edges;                     // [n_states][n_classes] state, NONE: not known yet
    uint32_t *frame_table, *state_table; // heads of chains by hash, NONE-terminated
    uint32_t n_frames, n_states, n_lists;
    uint32_t frame_capacity, state_capacity, list_capacity;
    uint32_t frame_table_mask, state_table_mask;
    uint32_t closure; // counts them
    uint32_t *work, *set;
    uint32_t n_work, n_set, work_capacity, set_capacity;
    struct mask masks[MASKS_MAX];
    uint32_t next_mask;
    uint32_t *path; // [n_bytes_max + 1] states along a walk
};

// ------------------------------------------------------------------------------------------------ memory

static bool reserve(struct matcher *m, void **items, uint32_t *capacity, uint32_t n, size_t size)
{
    if (m->no_memory || m->too_many)
        return false;
    if (n <= *capacity)
        return true;
    uint32_t wanted = *capacity > 0 ? *capacity : 256;
    while (wanted < n)
        wanted *= 2;
    void *moved = realloc(*items, (size_t)wanted * size);
    if (!moved) {
        m->no_memory = true;
        return false;
    }
    *items = moved;
    *capacity = wanted;
    return true;
}

#define DEFINE_RESERVE(member, capacity, size)                       \
    static bool reserve_##member(struct matcher *m, uint32_t n)      \
    {                                                                \
        void *items = m->member;                                     \
        const bool ok = reserve(m, &items, &m->capacity, n, (size)); \
        m->member = items;                                           \
        return ok;                                                   \
    }
DEFINE_RESERVE(frames, frame_capacity, sizeof *m->frames)
DEFINE_RESERVE(lists, list_capacity, sizeof *m->lists)
DEFINE_RESERVE(work, work_capacity, sizeof *m->work)
DEFINE_RESERVE(set, set_capacity, sizeof *m->set)
#undef DEFINE_RESERVE

static bool reserve_states(struct matcher *m, uint32_t n)
{
    const uint32_t before = m->state_capacity;
    uint32_t capacity = before;
    void *states = m->states, *edges = m->edges;
    bool ok = reserve(m, &states, &capacity, n, sizeof *m->states);
    m->states = states;
    capacity = before;
    ok = ok && reserve(m, &edges, &capacity, n, m->grammar->n_classes * sizeof *m->edges);
    m->edges = edges;
    m->state_capacity = ok ? capacity : before;
    return ok;
}

static uint32_t mix(uint32_t hash, uint32_t value)
{
    hash = (hash ^ value) * 0x9E3779B1u;
    return hash ^ hash >> 15;
}

// Twice as many heads; hash_of says where an item belongs.
static bool grow_table(struct matcher *m, uint32_t **table, uint32_t *mask)
{
    const uint32_t n = *table ? 2 * (*mask + 1) : 1024;
    uint32_t *heads = realloc(*table, n * sizeof *heads);
    if (!heads) {
        m->no_memory = true;
        return false;
    }
    memset(heads, 0xFF, n * sizeof *heads);
    *table = heads;
    *mask = n - 1;
    return true;
}

// ------------------------------------------------------------------------------------------------ frames

static uint32_t frame_hash(uint32_t node, uint32_t count, uint32_t parent)
{
    return mix(mix(mix(1, node), count), parent);
}

static void link_frame(struct matcher *m, uint32_t id)
{
    struct frame *f = &m->frames[id];
    uint32_t *head = &m->frame_table[frame_hash(f->node, f->count, f->parent) & m->frame_table_mask];
    f->hash_next = *head;
    *head = id;
}

static uint32_t find_frame(struct matcher *m, uint32_t node, uint32_t count, uint32_t parent)
{
    for (uint32_t id = m->frame_table[frame_hash(node, count, parent) & m->frame_table_mask]; id != NONE;
         id = m->frames[id].hash_next)
        if (m->frames[id].node == node && m->frames[id].count == count && m->frames[id].parent == parent)
            return id;
    if (m->n_frames >= FRAMES_HARD)
        m->too_many = true;
    if (!reserve_frames(m, m->n_frames + 1))
        return NONE;
    m->frames[m->n_frames] = (struct frame){ .node = node, .count = count, .parent = parent };
    link_frame(m, m->n_frames++);
    if (m->n_frames > m->frame_table_mask) {
        if (!grow_table(m, &m->frame_table, &m->frame_table_mask))
            return NONE;
        for (uint32_t id = 0; id < m->n_frames; ++id)
            link_frame(m, id);
    }
    return m->n_frames - 1;
}

// ------------------------------------------------------------------------------------------------ closures

static void begin_closure(struct matcher *m)
{
    ++m->closure;
    m->n_work = m->n_set = 0;
}

static void add_work(struct matcher *m, uint32_t node, uint32_t count, uint32_t parent)
{
    const uint32_t frame = find_frame(m, node, count, parent);
    if (frame == NONE || m->frames[frame].mark == m->closure || !reserve_work(m, m->n_work + 1))
        return;
    m->frames[frame].mark = m->closure;
    m->work[m->n_work++] = frame;
}

static void enter_rule(struct matcher *m, uint32_t rule, uint32_t next, uint32_t count, uint32_t parent)
{
    // What would only return again is left out, so that lists written by recursion do not pile up.
    if (m->grammar->nodes[next].kind == NODE_KIND_RETURN)
        add_work(m, rule, 0, parent);
    else {
        const uint32_t back = find_frame(m, next, count, parent);
        if (back != NONE)
            add_work(m, rule, 0, back);
    }
}

static void expand(struct matcher *m, uint32_t id)
{
    const struct grammar *g = m->grammar;
    const struct frame frame = m->frames[id];
    const struct node *node = &g->nodes[frame.node];
    switch ((enum node_kind)node->kind) {
    case NODE_KIND_STEP:
    case NODE_KIND_TOKEN:
    case NODE_KIND_END:
        if (m->n_set >= STATE_FRAMES_MAX)
            m->too_many = true;
        if (reserve_set(m, m->n_set + 1))
            m->set[m->n_set++] = id;
        break;
    case NODE_KIND_SPLIT:
        for (uint32_t i = 0; i < node->n; ++i)
            add_work(m, g->targets[node->first + i], 0, frame.parent);
        break;
    case NODE_KIND_CALL:
        enter_rule(m, node->first, node->next, 0, frame.parent);
        break;
    case NODE_KIND_REPEAT:
        if (frame.count < node->max) {
            // Without an upper bound counting ends at the lower one.
            const uint32_t more =
                node->max == REPEAT_FOREVER && frame.count >= node->min ? frame.count : frame.count + 1;
            enter_rule(m, node->first, frame.node, more, frame.parent);
        }
        if (frame.count >= node->min)
            add_work(m, node->next, 0, frame.parent);
        break;
    case NODE_KIND_RETURN: {
        const struct frame back = m->frames[frame.parent];
        add_work(m, back.node, back.count, back.parent);
        break;
    }
    }
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

// ------------------------------------------------------------------------------------------------ states

static uint32_t set_hash(const uint32_t *set, uint32_t n)
{
    uint32_t hash = n;
    for (uint32_t i = 0; i < n; ++i)
        hash = mix(hash, set[i]);
    return hash;
}

static void link_state(struct matcher *m, uint32_t id)
{
    struct state *s = &m->states[id];
    uint32_t *head = &m->state_table[set_hash(m->lists + s->first, s->n) & m->state_table_mask];
    s->hash_next = *head;
    *head = id;
}

static bool is_complete(const struct matcher *m, const uint32_t *set, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        if (m->grammar->nodes[m->frames[set[i]].node].kind == NODE_KIND_END)
            return true;
    return false;
}

static uint32_t add_state(struct matcher *m, const uint32_t *set, uint32_t n)
{
    const uint32_t n_classes = m->grammar->n_classes, id = m->n_states;
    if (id >= STATES_HARD)
        m->too_many = true;
    if (!reserve_states(m, id + 1) || !reserve_lists(m, m->n_lists + n + 1))
        return DEAD;
    if (n > 0)
        memcpy(m->lists + m->n_lists, set, n * sizeof *set);
    m->states[id] = (struct state){ .first = m->n_lists, .n = n, .mask = NONE, .complete = is_complete(m, set, n) };
    memset(m->edges + (size_t)id * n_classes, 0xFF, n_classes * sizeof *m->edges);
    m->n_lists += n;
    ++m->n_states;
    link_state(m, id);
    if (m->n_states > m->state_table_mask) {
        if (!grow_table(m, &m->state_table, &m->state_table_mask))
            return DEAD;
        for (uint32_t i = 0; i < m->n_states; ++i)
            link_state(m, i);
    }
    return id;
}

// set is sorted and does not lie in m->lists.
static uint32_t find_state(struct matcher *m, const uint32_t *set, uint32_t n)
{
    if (n == 0)
        return DEAD;
    for (uint32_t id = m->state_table[set_hash(set, n) & m->state_table_mask]; id != NONE; id = m->states[id].hash_next)
        if (m->states[id].n == n && memcmp(m->lists + m->states[id].first, set, n * sizeof *set) == 0)
            return id;
    return add_state(m, set, n);
}

static uint32_t end_closure(struct matcher *m)
{
    while (m->n_work > 0 && !m->too_many && !m->no_memory)
        expand(m, m->work[--m->n_work]);
    if (m->too_many || m->no_memory || m->n_set == 0)
        return DEAD;
    qsort(m->set, m->n_set, sizeof *m->set, compare_ids);
    return find_state(m, m->set, m->n_set);
}

static uint32_t make_edge(struct matcher *m, uint32_t state, uint32_t class)
{
    const struct grammar *g = m->grammar;
    const struct state from = m->states[state];
    const uint8_t byte = g->byte_of[class];
    begin_closure(m);
    for (uint32_t i = 0; i < from.n; ++i) {
        const struct frame frame = m->frames[m->lists[from.first + i]];
        const struct node *node = &g->nodes[frame.node];
        for (uint32_t j = 0; node->kind == NODE_KIND_STEP && j < node->n; ++j) {
            const struct byte_range *range = &g->ranges[node->first + j];
            if (range->low <= byte && byte <= range->high)
                add_work(m, range->next, 0, frame.parent);
        }
    }
    const uint32_t to = end_closure(m);
    if (!m->too_many && !m->no_memory)
        m->edges[(size_t)state * g->n_classes + class] = to;
    return to;
}

static inline uint32_t step(struct matcher *m, uint32_t state, uint8_t byte)
{
    const struct grammar *g = m->grammar;
    const uint32_t class = g->class_of[byte], to = m->edges[(size_t)state * g->n_classes + class];
    return to != NONE ? to : make_edge(m, state, class);
}

static uint32_t step_token(struct matcher *m, uint32_t state, enum parse_control control)
{
    const struct grammar *g = m->grammar;
    const struct state from = m->states[state];
    begin_closure(m);
    for (uint32_t i = 0; i < from.n; ++i) {
        const struct frame frame = m->frames[m->lists[from.first + i]];
        const struct node *node = &g->nodes[frame.node];
        if (node->kind == NODE_KIND_TOKEN && node->first == control)
            add_work(m, node->next, 0, frame.parent);
    }
    return end_closure(m);
}

// ------------------------------------------------------------------------------------------------ life

static void forget(struct matcher *m)
{
    memset(m->frame_table, 0xFF, (m->frame_table_mask + 1) * sizeof *m->frame_table);
    memset(m->state_table, 0xFF, (m->state_table_mask + 1) * sizeof *m->state_table);
    m->n_frames = m->n_states = m->n_lists = 0;
    for (uint32_t i = 0; i < MASKS_MAX; ++i)
        m->masks[i].state = NONE;
    find_frame(m, NODE_DEAD, 0, 0); // the bottom of every stack
    add_state(m, NULL, 0);          // DEAD
}

static void enter_root(struct matcher *m)
{
    m->ended = false;
    begin_closure(m);
    add_work(m, m->grammar->root, 0, 0);
    m->state = end_closure(m);
}

enum karat_status matcher_check(const struct matcher *m, struct karat_error *err)
{
    if (m->no_memory)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for following a grammar");
    if (m->too_many)
        return status_fail(
            err, KARAT_ERR_UNSUPPORTED,
            "the grammar has too many ways to read the text so far; make its alternatives differ earlier");
    return KARAT_OK;
}

enum karat_status matcher_create(struct matcher **out, const struct grammar *grammar, const struct token_index *index,
                                 struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    struct matcher *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return status_fail(err, KARAT_ERR_MEMORY, "no memory for following a grammar");
    m->grammar = grammar;
    m->index = index;
    m->path = malloc(((index ? index->n_bytes_max : 0) + 1) * sizeof *m->path);
    m->no_memory = !m->path || !grow_table(m, &m->frame_table, &m->frame_table_mask) ||
                   !grow_table(m, &m->state_table, &m->state_table_mask);
    TRY(matcher_check(m, err));
    forget(m);
    enter_root(m);
    TRY(matcher_check(m, err));
    *out = m;
    m = NULL;
cleanup:
    matcher_destroy(m);
    return status;
}

void matcher_destroy(struct matcher *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < MASKS_MAX; ++i)
        free(m->masks[i].bits);
    free(m->frames);
    free(m->states);
    free(m->lists);
    free(m->edges);
    free(m->frame_table);
    free(m->state_table);
    free(m->work);
    free(m->set);
    free(m->path);
    free(m);
}

size_t matcher_bytes(const struct matcher *m)
{
    size_t bytes = sizeof *m + m->frame_capacity * sizeof *m->frames + m->list_capacity * sizeof *m->lists;
    bytes += m->state_capacity * (sizeof *m->states + m->grammar->n_classes * sizeof *m->edges);
    bytes += ((size_t)m->frame_table_mask + m->state_table_mask + 2) * sizeof *m->frame_table;
    bytes += ((size_t)m->work_capacity + m->set_capacity) * sizeof *m->work;
    for (uint32_t i = 0; i < MASKS_MAX; ++i)
        bytes += m->masks[i].bits ? m->index->n_words * sizeof *m->masks[i].bits : 0;
    return bytes;
}

void matcher_reset(struct matcher *m)
{
    m->too_many = m->no_memory = false;
    enter_root(m);
}

// The chain of stacks below `id`, in the old frames, made anew; deepest first through a list of them.
static uint32_t copy_frame(struct matcher *m, const struct frame *old, uint32_t id)
{
    uint32_t n = 0, made = 0;
    for (uint32_t at = id; at != 0 && reserve_work(m, n + 1); at = old[at].parent)
        m->work[n++] = at;
    while (n-- > 0)
        made = find_frame(m, old[m->work[n]].node, old[m->work[n]].count, made);
    return made;
}

static void forget_all_but_state(struct matcher *m)
{
    const struct state state = m->states[m->state];
    struct frame *old = m->frames;
    uint32_t *set = malloc((state.n + 1) * sizeof *set);
    if (!set) {
        m->no_memory = true;
        return;
    }
    memcpy(set, m->lists + state.first, state.n * sizeof *set);
    m->frames = NULL;
    m->frame_capacity = 0;
    forget(m);
    for (uint32_t i = 0; i < state.n; ++i)
        set[i] = copy_frame(m, old, set[i]);
    qsort(set, state.n, sizeof *set, compare_ids);
    if (!m->no_memory && !m->too_many)
        m->state = find_state(m, set, state.n);
    free(old);
    free(set);
}

// ------------------------------------------------------------------------------------------------ masks

static inline void set_bit(uint32_t *bits, uint32_t id)
{
    bits[id / 32] |= 1u << id % 32;
}

static void walk(struct matcher *m, const struct token_tree *tree, uint32_t state, uint32_t *bits)
{
    uint32_t *path = m->path;
    path[0] = state;
    if (state == DEAD)
        return;
    for (uint32_t i = 0; i < tree->n_nodes;) {
        const uint32_t depth = tree->depths[i], to = step(m, path[depth - 1], tree->bytes[i]);
        if (to == DEAD) {
            i = tree->skips[i];
            continue;
        }
        path[depth] = to;
        for (uint32_t at = tree->first_token[i]; at < tree->first_token[i + 1]; ++at)
            set_bit(bits, tree->ids[at]);
        ++i;
    }
}

// The class of characters of which the frame repeats some, and in *room how many more it takes. CHARS_NONE where a
// token of such characters could run out of the repetition.
static enum char_class repeated_class(const struct matcher *m, const struct frame *frame, uint32_t *room)
{
    const struct node *node = &m->grammar->nodes[frame->node];
    const struct frame *back = &m->frames[frame->parent];
    const struct node *repeat = &m->grammar->nodes[back->node];
    if (node->kind != NODE_KIND_STEP || node->chars == CHARS_NONE || repeat->kind != NODE_KIND_REPEAT)
        return CHARS_NONE;
    // The frame to return to has counted the character that is about to come.
    *room = repeat->max == REPEAT_FOREVER ? REPEAT_FOREVER : repeat->max - back->count + 1;
    return repeat->max == REPEAT_FOREVER || repeat->follow_is_apart ? (enum char_class)node->chars : CHARS_NONE;
}

static void add_class(const struct matcher *m, const struct token_class *class, uint32_t room, uint32_t *bits)
{
    const uint32_t n_words = m->index->n_words;
    if (room >= class->n_chars_max) {
        for (uint32_t i = 0; i < n_words; ++i)
            bits[i] |= class->bits[i];
        return;
    }
    for (uint32_t i = 0; i < class->n_ids && class->n_chars_of[i] <= room; ++i)
        set_bit(bits, class->ids[i]);
}

static void add_controls(const struct matcher *m, const struct state *state, uint32_t *bits)
{
    static const enum parse_control ends[] = { PARSE_END, PARSE_TURN_CLOSE, PARSE_RESPONSE_OPEN };
    const uint32_t *ids = m->index->controls;
    for (uint32_t i = 0; i < state->n; ++i) {
        const struct node *node = &m->grammar->nodes[m->frames[m->lists[state->first + i]].node];
        if (node->kind == NODE_KIND_TOKEN && ids[node->first] != TOKEN_NONE)
            set_bit(bits, ids[node->first]);
    }
    for (size_t i = 0; state->complete && i < COUNT(ends); ++i)
        if (ids[ends[i]] != TOKEN_NONE)
            set_bit(bits, ids[ends[i]]);
}

static void build_mask(struct matcher *m, uint32_t id, uint32_t *bits)
{
    const struct state state = m->states[id];
    uint32_t *others = malloc((state.n + 1) * sizeof *others), n_others = 0;
    if (!others) {
        m->no_memory = true;
        return;
    }
    memset(bits, 0, m->index->n_words * sizeof *bits);
    add_controls(m, &state, bits);
    for (uint32_t i = 0; i < state.n; ++i) {
        const uint32_t frame = m->lists[state.first + i];
        uint32_t room = 0;
        const enum char_class class = repeated_class(m, &m->frames[frame], &room);
        if (class == CHARS_NONE) {
            others[n_others++] = frame;
            continue;
        }
        add_class(m, &m->index->classes[class], room, bits);
        walk(m, &m->index->classes[class].others, find_state(m, &frame, 1), bits);
    }
    walk(m, &m->index->tree, n_others == state.n ? id : find_state(m, others, n_others), bits);
    free(others);
}

// A state with the same mask that more texts lead to: far from both bounds of a repetition of characters it does not
// matter how many there have been.
static uint32_t representative(struct matcher *m, uint32_t id)
{
    const struct state state = m->states[id];
    const uint32_t far = m->index->n_bytes_max;
    for (uint32_t i = 0; i < state.n; ++i) {
        uint32_t room = 0;
        const uint32_t at = m->lists[state.first + i];
        if (repeated_class(m, &m->frames[at], &room) == CHARS_NONE || room == REPEAT_FOREVER)
            continue;
        const struct frame frame = m->frames[at], back = m->frames[frame.parent];
        const struct node *repeat = &m->grammar->nodes[back.node];
        const uint32_t done = back.count - 1;
        uint32_t count = done;
        if (room <= far)
            continue;
        if (done >= repeat->min && repeat->max - repeat->min > far)
            count = repeat->min;
        else if (done < repeat->min && repeat->min - done > far)
            count = 0;
        if (count == done)
            continue;
        const uint32_t parent = find_frame(m, back.node, count + 1, back.parent);
        const uint32_t moved = parent == NONE ? NONE : find_frame(m, frame.node, frame.count, parent);
        if (moved == NONE || !reserve_set(m, state.n))
            return id;
        memcpy(m->set, m->lists + state.first, state.n * sizeof *m->set);
        m->set[i] = moved;
        qsort(m->set, state.n, sizeof *m->set, compare_ids);
        // One of them at a time; a second one is found in the next state.
        return representative(m, find_state(m, m->set, state.n));
    }
    return id;
}

static uint32_t *take_mask(struct matcher *m, uint32_t state)
{
    struct mask *mask = &m->masks[m->next_mask];
    if (!mask->bits && !(mask->bits = malloc(m->index->n_words * sizeof *mask->bits))) {
        m->no_memory = true;
        return NULL;
    }
    if (mask->state != NONE)
        m->states[mask->state].mask = NONE;
    mask->state = state;
    m->states[state].mask = m->next_mask;
    m->next_mask = (m->next_mask + 1) % MASKS_MAX;
    return mask->bits;
}

enum karat_status matcher_mask(struct matcher *m, const uint32_t **out, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    TRY(matcher_check(m, err));
    if (m->n_frames > FRAMES_SOFT || m->n_states > STATES_SOFT)
        forget_all_but_state(m);
    const uint32_t state = representative(m, m->state);
    TRY(matcher_check(m, err));
    if (m->states[state].mask == NONE) {
        uint32_t *bits = take_mask(m, state);
        if (bits)
            build_mask(m, state, bits);
        if (m->no_memory || m->too_many) {
            // A mask that is not whole must not be found again.
            m->masks[m->states[state].mask == NONE ? 0 : m->states[state].mask].state = NONE;
            m->states[state].mask = NONE;
        }
        TRY(matcher_check(m, err));
    }
    *out = m->masks[m->states[state].mask].bits;
cleanup:
    return status;
}

// ------------------------------------------------------------------------------------------------ tokens

static uint32_t step_text(struct matcher *m, uint32_t state, struct span text)
{
    for (size_t i = 0; i < text.size_bytes && state != DEAD; ++i)
        state = step(m, state, text.data[i]);
    return state;
}

static enum parse_control find_control(const struct token_index *index, uint32_t id)
{
    for (size_t i = 1; i < COUNT(index->controls); ++i)
        if (index->controls[i] == id)
            return (enum parse_control)i;
    return PARSE_NONE;
}

static bool is_end(enum parse_control control)
{
    return control == PARSE_END || control == PARSE_TURN_CLOSE || control == PARSE_RESPONSE_OPEN;
}

enum karat_status matcher_accept(struct matcher *m, uint32_t id, struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    uint32_t to = DEAD;
    TRY(matcher_check(m, err));
    if (id < m->index->n_tokens && !m->ended) {
        const enum parse_control control = find_control(m->index, id);
        if (is_end(control) && m->states[m->state].complete) {
            m->ended = true;
            return KARAT_OK;
        }
        to = control != PARSE_NONE   ? step_token(m, m->state, control)
             : m->index->is_text[id] ? step_text(m, m->state, tokenizer_text(m->index->tokenizer, id))
                                     : DEAD;
    }
    TRY(matcher_check(m, err));
    if (to == DEAD)
        TRY(status_fail(err, KARAT_ERR_ARGUMENT, "token %u does not belong where the grammar stands", id));
    m->state = to;
cleanup:
    return status;
}

bool matcher_is_complete(const struct matcher *m)
{
    return m->states[m->state].complete;
}

bool matcher_text(struct matcher *m, struct span text)
{
    const uint32_t to = step_text(m, m->state, text);
    if (to != DEAD)
        m->state = to;
    return to != DEAD;
}
