/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/traffic.h"

#include <string.h>

#include "base/cursor.h"
#include "base/pack.h"

_Static_assert(BENCH_ITEMS_MAX *(ID_BYTES_MAX + 16) + 4096 <= TRAFFIC_REQUEST_BYTES,
               "the largest request fits");

static enum err_code load_names(struct names *names, struct zipf *shares, const char *file,
                                const char *prefix, uint32_t count, double exponent,
                                struct err *err)
{
    enum err_code rc =
        file != NULL ? names_read(names, file, err) : names_generate(names, prefix, count, err);
    if (rc == ERR_OK)
        rc = zipf_init(shares, names->count, exponent, err);
    return rc;
}

enum err_code traffic_init(struct traffic *traffic, const struct bench_options *options,
                           struct err *err)
{
    *traffic = (struct traffic){.options = options};
    traffic_reseed(traffic, options->seed);
    enum err_code rc = load_names(&traffic->users, &traffic->user_shares, options->users_file, "u",
                                  options->user_count, options->zipf, err);
    if (rc == ERR_OK)
        rc = load_names(&traffic->items, &traffic->item_shares, options->items_file, "i",
                        options->item_count, options->zipf, err);
    if (rc != ERR_OK)
        traffic_deinit(traffic);
    return rc;
}

void traffic_deinit(struct traffic *traffic)
{
    names_deinit(&traffic->users);
    names_deinit(&traffic->items);
    zipf_deinit(&traffic->user_shares);
    zipf_deinit(&traffic->item_shares);
}

void traffic_reseed(struct traffic *traffic, uint64_t seed)
{
    rand_init(&traffic->rand, seed);
}

static struct text draw_user(struct traffic *traffic)
{
    return traffic->users.texts[zipf_draw(&traffic->user_shares, &traffic->rand)];
}

static struct text draw_item(struct traffic *traffic)
{
    return traffic->items.texts[zipf_draw(&traffic->item_shares, &traffic->rand)];
}

/* `count` item maps; the same item may come twice, as on a page with two shelves. */
static void pack_items(struct traffic *traffic, struct pack *pack)
{
    pack_key(pack, "items");
    pack_array(pack, traffic->options->n);
    for (uint32_t i = 0; i < traffic->options->n; i++) {
        pack_map(pack, 1);
        pack_key(pack, "id");
        pack_text(pack, draw_item(traffic));
    }
}

/* A map for each slot that the option names. */
static void pack_slots(const struct bench_options *options, struct pack *pack)
{
    size_t mark = pack_array_open(pack);
    uint32_t count = 0;
    for (const char *at = options->slot;; at++) {
        size_t len = strcspn(at, ",");
        pack_map(pack, 2);
        pack_key(pack, "slot");
        pack_text(pack, (struct text){at, (uint32_t)len});
        pack_key(pack, "n");
        pack_int(pack, options->n);
        count++;
        at += len;
        if (*at == '\0')
            break;
    }
    pack_array_close(pack, mark, count);
}

/* Returns the number of pairs. */
static uint32_t pack_op_keys(struct traffic *traffic, struct pack *pack)
{
    const struct bench_options *options = traffic->options;
    if (options->op == BENCH_PING) {
        pack_key(pack, "pad");
        pack_int(pack, options->pad_bytes);
        return 1;
    }
    uint32_t pair_count = 1;
    pack_key(pack, "user");
    pack_text(pack, draw_user(traffic));
    if (options->op == BENCH_DECIDE) {
        pack_key(pack, "slots");
        pack_slots(options, pack);
        return 2;
    }
    if (options->slot != NULL) {
        pack_key(pack, "slot");
        pack_str(pack, options->slot);
        pair_count++;
    }
    switch (options->op) {
    case BENCH_SIMILAR:
        pack_key(pack, "items");
        pack_array(pack, 1);
        pack_text(pack, draw_item(traffic));
        pair_count++;
        break;
    case BENCH_RANK:
    case BENCH_PRICE: pack_items(traffic, pack); return pair_count + 1;
    case BENCH_FEATURES: return pair_count;
    default: break;
    }
    pack_key(pack, "n");
    pack_int(pack, options->n);
    return pair_count + 1;
}

size_t traffic_pack(struct traffic *traffic, uint8_t buf[TRAFFIC_REQUEST_BYTES])
{
    const struct bench_options *options = traffic->options;
    struct pack pack = pack_into(buf, TRAFFIC_REQUEST_BYTES);
    size_t mark = pack_map_open(&pack);
    uint32_t pair_count = 1;
    pack_key(&pack, "op");
    pack_str(&pack, bench_op_name(options->op));
    if (options->budget_us != 0) {
        pack_key(&pack, "budget_us");
        pack_int(&pack, (int64_t)options->budget_us);
        pair_count++;
    }
    pair_count += pack_op_keys(traffic, &pack);
    pack_map_close(&pack, mark, pair_count);
    ASSERT(!pack.overflow); /* the slot is short: see bench_options_parse */
    return pack.used;
}

static void read_code(struct cursor cursor, struct text *ret_code)
{
    uint32_t pair_count = 0;
    struct text key;
    if (!cursor_map(&cursor, &pair_count))
        return;
    for (uint32_t i = 0; i < pair_count && cursor_text(&cursor, &key); i++) {
        if (!text_is(key, "code") || !cursor_text(&cursor, ret_code))
            cursor_skip(&cursor, NULL);
    }
}

/* Of a page the first level below full. */
static void read_page(struct cursor cursor, struct text *ret_level)
{
    uint32_t slot_count = 0, pair_count = 0;
    struct text key, level;
    if (!cursor_array(&cursor, &slot_count))
        return;
    for (uint32_t s = 0; s < slot_count && cursor_map(&cursor, &pair_count); s++) {
        for (uint32_t i = 0; i < pair_count && cursor_text(&cursor, &key); i++) {
            if (!text_is(key, "level") || !cursor_text(&cursor, &level))
                cursor_skip(&cursor, NULL);
            else if (ret_level->ptr == NULL || text_is(*ret_level, "full"))
                *ret_level = level;
        }
    }
}

enum traffic_answer traffic_read(const uint8_t *body, size_t len, struct text *ret_what)
{
    struct cursor_fault fault;
    struct cursor cursor = cursor_of(body, len);
    struct text key;
    uint32_t pair_count = 0;
    bool has_ok = false;
    bool ok = false;
    *ret_what = (struct text){0};
    if (cursor_check_fault(body, len, TRAFFIC_VALUES_MAX, &fault) != ERR_OK ||
        !cursor_map(&cursor, &pair_count))
        return ANSWER_MALFORMED;
    for (uint32_t i = 0; i < pair_count && cursor_text(&cursor, &key); i++) {
        if (text_is(key, "ok") && cursor_bool(&cursor, &ok)) {
            has_ok = true;
            continue;
        }
        if (text_is(key, "level") && cursor_text(&cursor, ret_what))
            continue;
        if (text_is(key, "error"))
            read_code(cursor, ret_what);
        if (text_is(key, "slots"))
            read_page(cursor, ret_what);
        cursor_skip(&cursor, NULL);
    }
    if (!has_ok)
        return ANSWER_MALFORMED;
    return ok ? ANSWER_OK : ANSWER_REFUSED;
}
