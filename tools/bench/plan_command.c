/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/plan_command.h"

#include "tools/bench/plan.h"
#include "tools/cli/json_text.h"

#define AT(field) offsetof(struct plan_options, field)

static const struct argument rows[] = {
    {"curve", ARG_LIST, AT(curves), 0, ARGUMENT_TEXT_BYTES, "FILE",
     "a result of --sweep --json of one machine; may be given again", NULL},
    {"rate", ARG_REAL, AT(rate), 1, PLAN_RATE_MAX, "R", "the load, requests a second", NULL},
    {"p99", ARG_REAL, AT(p99_ms), 0.001, 60000, "MS",
     "the p99 to keep (what the sweep had as its --limit)", NULL},
    {"spare", ARG_U32, AT(spare), 0, PLAN_SPARE_MAX, "N", "machines that may be lost at once (1)",
     NULL},
    {"json", ARG_FLAG, AT(json), 0, 0, NULL, "print one JSON object", NULL},
    {"help", ARG_FLAG, AT(help), 0, 0, NULL, "print this", NULL},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

enum err_code plan_options_parse(int argc, char **argv, struct plan_options *ret_options,
                                 struct err *err)
{
    struct plan_options options = {.spare = 1};
    enum err_code rc = arguments_parse(argc, argv, 2, rows, ROW_COUNT, &options, err);
    if (rc == ERR_OK && !options.help && options.curves.count == 0)
        rc = err_set(err, ERR_BAD_INPUT, "plan: --curve is missing");
    if (rc == ERR_OK && !options.help && options.rate <= 0)
        rc = err_set(err, ERR_BAD_INPUT, "plan: --rate is missing");
    if (rc == ERR_OK)
        *ret_options = options;
    return rc;
}

void plan_options_help(FILE *out)
{
    fputs("usage: decide-bench plan --curve FILE... --rate R [options]\n"
          "\n"
          "From the measured curve of one machine to how many of them a load needs, so that p99\n"
          "is kept also with some lost.  What was not measured is an error, not a guess.\n"
          "\n",
          out);
    arguments_help(rows, ROW_COUNT, out);
}

static void print_p99(double p99_us, FILE *out)
{
    if (p99_us < 0)
        fprintf(out, "  %9s", "-");
    else
        fprintf(out, "  %9.3f", p99_us / 1000);
}

static void print_share(const struct plan_share *share, FILE *out)
{
    fprintf(out, "  %9.0f  %4.0f %%", share->rate, 100 * share->use);
    print_p99(share->p99_us, out);
}

static void print_table(const struct plan_options *options, const struct plan *plans, FILE *out)
{
    bool unmeasured = false;
    char lost[32];
    snprintf(lost, sizeof lost, "with %u lost", options->spare);
    fprintf(out, "%.0f requests a second; each machine's part, its use and its p99\n\n",
            options->rate);
    fprintf(out, "%9s  %9s  %8s  %28s  %28s\n", "p99 to", "a machine", "", "all up", lost);
    fprintf(out, "%9s  %9s  %8s  %9s  %6s  %9s  %9s  %6s  %9s  %8s  %s\n", "keep ms", "carries/s",
            "machines", "each/s", "use", "p99 ms", "each/s", "use", "p99 ms", "headroom", "curve");
    for (uint32_t i = 0; i < options->curves.count; i++) {
        const struct plan *plan = &plans[i];
        fprintf(out, "%9.4g  %9.0f  %8u", plan->target_us / 1000, plan->machine_rate,
                plan->machine_count);
        print_share(&plan->all_up, out);
        print_share(&plan->with_lost, out);
        fprintf(out, "  %6.0f %%  %s\n", 100 * plan->headroom, options->curves.values[i]);
        unmeasured = unmeasured || plan->all_up.p99_us < 0 || plan->with_lost.p99_us < 0;
    }
    if (unmeasured)
        fputs("\n-: less than any rate that was measured\n", out);
}

static void put_share(const char *name, const struct plan_share *share, FILE *out)
{
    fprintf(out, ", \"%s\": {\"rate\": %.2f, \"use\": %.4f, \"p99_us\": ", name, share->rate,
            share->use);
    if (share->p99_us < 0)
        fputs("null}", out);
    else
        fprintf(out, "%.1f}", share->p99_us);
}

static void put_json(const struct plan_options *options, const struct plan *plans, FILE *out)
{
    fprintf(out, "{\"format\": %d, \"kind\": \"plan\", \"rate\": %.2f, \"spare\": %u, \"plans\": [",
            EARLIER_FORMAT, options->rate, options->spare);
    for (uint32_t i = 0; i < options->curves.count; i++) {
        const struct plan *plan = &plans[i];
        fputs(i == 0 ? "{\"curve\": " : ", {\"curve\": ", out);
        json_text_print(options->curves.values[i], out);
        fprintf(out, ", \"p99_us\": %.1f, \"machine_rate\": %.2f, \"machines\": %u",
                plan->target_us, plan->machine_rate, plan->machine_count);
        put_share("all_up", &plan->all_up, out);
        put_share("with_lost", &plan->with_lost, out);
        fprintf(out, ", \"headroom\": %.4f}", plan->headroom);
    }
    fputs("]}\n", out);
}

enum err_code plan_command(const struct plan_options *options, FILE *out, struct err *err)
{
    struct plan plans[ARGUMENT_LIST_MAX];
    for (uint32_t i = 0; i < options->curves.count; i++) {
        struct earlier_sweep curve;
        struct err why;
        const char *path = options->curves.values[i];
        enum err_code rc = earlier_read_sweep(path, &curve, err);
        if (rc != ERR_OK)
            return rc;
        double target_us = options->p99_ms > 0 ? 1000 * options->p99_ms : curve.limit_us;
        rc = plan_make(&curve, options->rate, target_us, options->spare, &plans[i], &why);
        if (rc != ERR_OK)
            return err_set(err, rc, "%s: %s", path, why.text);
    }
    if (options->json)
        put_json(options, plans, out);
    else
        print_table(options, plans, out);
    return ERR_OK;
}
