// text/grammar_number.c -- the decimal numbers between two bounds, digit by digit.
//
// While all digits so far are those of a bound, the next one is bounded too ("tight"); the first smaller or larger
// digit frees the rest. So a number needs four nodes for each place: tight or not against either bound.
#include <stdlib.h>

#include "text/grammar_nodes.h"

// Before and after the point together: so many digits tell two doubles apart, so that a number that lies beyond a bound
// does so for readers who keep doubles, too.
#define PLACES_MAX 15
#define EXPONENT_MAX 40

// A magnitude: its digits before the point without leading zeros (so none for 0.5), and those after it.
struct decimal {
    char whole[2 * EXPONENT_MAX + 48], part[2 * EXPONENT_MAX + 48];
    int n_whole, n_part;
    bool negative;
};

struct interval {
    struct grammar_builder *b;
    const struct decimal *low, *high; // high NULL: no bound
    bool low_is_out, high_is_out, integer;
    uint32_t next;
    uint32_t any[PLACES_MAX + 1]; // [n]: at most n more digits, whatever they are
};

// False when there are too many digits.
static bool read_decimal(struct decimal *out, struct span text)
{
    char digits[64];
    int n = 0, point = -1, exponent = 0;
    *out = (struct decimal){ 0 };
    for (size_t i = 0; i < text.size_bytes; ++i) {
        const char c = (char)text.data[i];
        if (c == '-') {
            out->negative = true;
        } else if (c == '.') {
            point = n;
        } else if (c == 'e' || c == 'E') {
            char power[8] = { 0 };
            if (text.size_bytes - i - 1 >= sizeof power)
                return false;
            memcpy(power, text.data + i + 1, text.size_bytes - i - 1);
            exponent = atoi(power);
            break;
        } else if (n < (int)sizeof digits) {
            digits[n++] = c;
        } else {
            return false;
        }
    }
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
        return false;
    const int end = (point < 0 ? n : point) + exponent; // digits before the point
    for (int i = end < 0 ? end : 0; i < n || i < end; ++i) {
        const char c = i >= 0 && i < n ? digits[i] : '0';
        if (i < end && (out->n_whole > 0 || c != '0'))
            out->whole[out->n_whole++] = c;
        else if (i >= end)
            out->part[out->n_part++] = c;
    }
    while (out->n_part > 0 && out->part[out->n_part - 1] == '0')
        --out->n_part;
    return out->n_part <= PLACES_MAX;
}

static bool is_zero(const struct decimal *d)
{
    return d->n_whole == 0 && d->n_part == 0;
}

static int part_digit(const struct decimal *d, int place)
{
    return place < d->n_part ? d->part[place] - '0' : 0;
}

// Digits first..last of which the outer ones may stay tight; to[tight_low][tight_high] is where they lead.
static uint32_t add_digits(struct grammar_builder *b, int first, int last, bool tight_low, bool tight_high,
                           uint32_t to[2][2])
{
    struct byte_range ranges[10];
    uint32_t n = 0;
    for (int digit = first; digit <= last; ++digit) {
        const uint8_t byte = (uint8_t)('0' + digit);
        const uint32_t next = to[tight_low && digit == first][tight_high && digit == last];
        if (n > 0 && ranges[n - 1].next == next)
            ranges[n - 1].high = byte;
        else
            ranges[n++] = (struct byte_range){ byte, byte, next };
    }
    return grammar_add_step(b, ranges, n);
}

// The digits after the point, at most n_places: out[tight_low][tight_high] is where they begin.
static void add_part(const struct interval *in, int n_places, bool low_tight, bool high_tight, uint32_t out[2][2])
{
    const struct decimal none = { 0 };
    const struct decimal *low = in->low, *high = in->high ? in->high : &none;
    uint32_t after[2][2] = { { NODE_DEAD } };
    for (int place = n_places; place >= 0; --place) {
        uint32_t here[2][2] = { { NODE_DEAD } };
        for (int tl = 0; tl <= low_tight; ++tl)
            for (int th = 0; th <= high_tight; ++th) {
                const bool below = tl && (place < low->n_part || in->low_is_out);
                const bool above = th && place >= high->n_part && in->high_is_out;
                const uint32_t stop = place > 0 && !below && !above ? in->next : NODE_DEAD;
                const uint32_t more = place == n_places ? NODE_DEAD
                                                        : add_digits(in->b, tl ? part_digit(low, place) : 0,
                                                                     th ? part_digit(high, place) : 9, tl, th, after);
                here[tl][th] =
                    tl || th || place == 0 ? grammar_add_either(in->b, more, stop) : in->any[n_places - place];
            }
        memcpy(after, here, sizeof after);
    }
    memcpy(out, after, sizeof after);
}

// After the last of n digits before the point.
static void add_tails(const struct interval *in, int n, bool low_tight, bool high_tight, uint32_t out[2][2])
{
    uint32_t parts[2][2] = { { NODE_DEAD } };
    if (!in->integer)
        add_part(in, PLACES_MAX - n, low_tight, high_tight, parts);
    for (int tl = 0; tl <= low_tight; ++tl)
        for (int th = 0; th <= high_tight; ++th) {
            const bool below = tl && (in->low->n_part > 0 || in->low_is_out);
            const bool above = th && in->high && in->high->n_part == 0 && in->high_is_out;
            const uint32_t point = parts[tl][th] == NODE_DEAD ? NODE_DEAD : grammar_add_byte(in->b, '.', parts[tl][th]);
            out[tl][th] = grammar_add_either(in->b, below || above ? NODE_DEAD : in->next, point);
        }
}

// Numbers with n digits before the point; n 0 stands for the single digit 0.
static uint32_t add_whole(const struct interval *in, int n)
{
    const bool low_tight = in->low->n_whole == n, high_tight = in->high && in->high->n_whole == n;
    uint32_t after[2][2] = { { NODE_DEAD } };
    add_tails(in, n, low_tight, high_tight, after);
    if (n == 0)
        return grammar_add_byte(in->b, '0', after[low_tight][high_tight]);
    for (int place = n - 1; place >= 0; --place) {
        uint32_t here[2][2] = { { NODE_DEAD } };
        for (int tl = 0; tl <= low_tight; ++tl)
            for (int th = 0; th <= high_tight; ++th) {
                const int first = tl ? in->low->whole[place] - '0' : place == 0 ? 1 : 0;
                const int last = th ? in->high->whole[place] - '0' : 9;
                here[tl][th] = add_digits(in->b, first, last, tl, th, after);
            }
        memcpy(after, here, sizeof after);
    }
    return after[low_tight][high_tight];
}

static uint32_t add_magnitudes(struct interval *in)
{
    uint32_t targets[PLACES_MAX + 1], n = 0;
    in->any[0] = in->next;
    for (int i = 1; i <= PLACES_MAX && !in->integer; ++i)
        in->any[i] = grammar_add_either(
            in->b, grammar_add_step(in->b, &(struct byte_range){ '0', '9', in->any[i - 1] }, 1), in->next);
    for (int places = in->low->n_whole; places <= PLACES_MAX && (!in->high || places <= in->high->n_whole); ++places)
        targets[n++] = add_whole(in, places);
    return grammar_add_split(in->b, targets, n);
}

// Without bounds: also with an exponent.
static uint32_t add_exponent(struct grammar_builder *b, uint32_t next)
{
    const uint32_t second = grammar_add_either(b, grammar_add_step(b, &(struct byte_range){ '0', '9', next }, 1), next);
    const uint32_t first = grammar_add_step(b, &(struct byte_range){ '0', '9', second }, 1);
    const struct byte_range signs[] = { { '+', '+', first }, { '-', '-', first }, { '0', '9', second } };
    const struct byte_range letters[] = { { 'E', 'E', grammar_add_step(b, signs, COUNT(signs)) },
                                          { 'e', 'e', grammar_add_step(b, signs, COUNT(signs)) } };
    return grammar_add_either(b, grammar_add_step(b, letters, COUNT(letters)), next);
}

bool grammar_carries_bound(const struct json *bound, bool is_out)
{
    struct decimal d;
    // A bound that is itself out and the numbers beyond it have to be different doubles.
    return read_decimal(&d, bound->text) && !(is_out && d.n_part > 0 && d.n_whole + d.n_part > PLACES_MAX);
}

uint32_t grammar_add_number(struct grammar_builder *b, const struct number_bounds *bounds, uint32_t next)
{
    const struct decimal zero = { 0 }, one = { .whole = "1", .n_whole = 1 };
    struct decimal low, high;
    if ((bounds->low && !read_decimal(&low, bounds->low->text)) ||
        (bounds->high && !read_decimal(&high, bounds->high->text)))
        return NODE_DEAD;
    if (!bounds->low && !bounds->high && !bounds->integer)
        next = add_exponent(b, next);
    struct interval positive = { .b = b, .low = &zero, .integer = bounds->integer, .next = next }, negative = positive;
    uint32_t above = NODE_DEAD, below = NODE_DEAD;

    if (bounds->low && (!low.negative || is_zero(&low))) {
        positive.low = &low;
        positive.low_is_out = bounds->low_is_out;
    }
    if (bounds->high) {
        positive.high = &high;
        positive.high_is_out = bounds->high_is_out;
    }
    if (!bounds->high || !high.negative || is_zero(&high))
        above = add_magnitudes(&positive);

    // Below zero the bounds change places; zero itself has no sign.
    negative.low = bounds->integer ? &one : &zero;
    negative.low_is_out = !bounds->integer;
    if (bounds->high && high.negative && !is_zero(&high)) {
        negative.low = &high;
        negative.low_is_out = bounds->high_is_out;
    }
    if (bounds->low) {
        negative.high = &low;
        negative.high_is_out = bounds->low_is_out;
    }
    if (!bounds->low || (low.negative && !is_zero(&low)))
        below = add_magnitudes(&negative);
    return grammar_add_either(b, above, below == NODE_DEAD ? NODE_DEAD : grammar_add_byte(b, '-', below));
}
