/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/chart.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { WIDTH = 960, HEIGHT = 540, LEFT = 84, RIGHT = 916, TOP = 150, BOTTOM = 476, LEGEND_Y = 78 };

static const struct style {
    const char *name, *colour, *dashes;
} styles[] = {[CHART_DECIDED] = {"decided", "#0b5fa5", "none"},
              [CHART_BEFORE] = {"before", "#c04a00", "8 5"},
              [CHART_RAW] = {"raw echo", "#14804a", "none"},
              [CHART_NNG] = {"nng echo", "#8a4fa3", "none"}};

/* What the axes span: nines of the percentile, and steps of 1, 2, 5, 10, ... us. */
struct axes {
    int nine_count;
    int first_step, last_step;
};

static double step_us(int step)
{
    static const double in_decade[] = {1, 2, 5};
    int decade = step >= 0 ? step / 3 : (step - 2) / 3;
    return in_decade[step - 3 * decade] * pow(10, decade);
}

static double x_of(const struct axes *axes, double share)
{
    return LEFT + (RIGHT - LEFT) * -log10(1 - share) / axes->nine_count;
}

static double y_of(const struct axes *axes, double us)
{
    double low = log10(step_us(axes->first_step));
    double high = log10(step_us(axes->last_step));
    double at = us > step_us(axes->first_step) ? log10(us) : low;
    return BOTTOM - (BOTTOM - TOP) * (at - low) / (high - low);
}

/* The last point, the largest value, has no place on an axis that never reaches 100 %. */
static uint32_t drawn_count(const struct curve *curve)
{
    return curve->count > 0 && curve->points[curve->count - 1].share >= 1 ? curve->count - 1
                                                                          : curve->count;
}

static struct axes measure(const struct chart *chart)
{
    double low_us = 1e12;
    double high_us = 0.01;
    double least_left = 0.1; /* of 1: how close a share comes to it */
    struct axes axes = {0};
    for (uint32_t i = 0; i < chart->count; i++) {
        const struct curve *curve = &chart->series[i].curve;
        for (uint32_t k = 0; k < drawn_count(curve); k++) {
            const struct curve_point *point = &curve->points[k];
            low_us = fmin(low_us, fmax(point->us, 0.01));
            high_us = fmax(high_us, point->us);
            least_left = fmin(least_left, 1 - point->share);
        }
    }
    low_us = fmin(low_us, high_us);
    axes.nine_count = (int)ceil(-log10(least_left) - 1e-9);
    axes.first_step = -6;
    while (step_us(axes.first_step + 1) <= low_us)
        axes.first_step++;
    axes.last_step = axes.first_step + 1;
    while (step_us(axes.last_step) < high_us)
        axes.last_step++;
    return axes;
}

static void put_escaped(struct buffer *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        switch (*c) {
        case '<': buffer_put_str(out, "&lt;"); break;
        case '>': buffer_put_str(out, "&gt;"); break;
        case '&': buffer_put_str(out, "&amp;"); break;
        case '"': buffer_put_str(out, "&quot;"); break;
        default: buffer_put_char(out, (unsigned char)*c < 0x20 ? ' ' : *c); break;
        }
    }
}

static const char *format_us(double us, char buf[32])
{
    if (us >= 1e6)
        snprintf(buf, 32, "%.3g s", us / 1e6);
    else if (us >= 1000)
        snprintf(buf, 32, "%.3g ms", us / 1000);
    else
        snprintf(buf, 32, "%.3g \xC2\xB5s", us);
    return buf;
}

static void put_grid(struct buffer *out, const struct axes *axes)
{
    char label[32];
    buffer_put_str(out, "<g stroke=\"#d9dde2\" stroke-width=\"1\">\n");
    for (int step = axes->first_step; step <= axes->last_step; step++)
        buffer_put_fmt(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", LEFT,
                       y_of(axes, step_us(step)), RIGHT, y_of(axes, step_us(step)));
    for (int nine = 0; nine <= axes->nine_count; nine++)
        buffer_put_fmt(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n",
                       x_of(axes, 1 - pow(10, -nine)), TOP, x_of(axes, 1 - pow(10, -nine)), BOTTOM);
    buffer_put_str(out, "</g>\n<g fill=\"#3b434b\" font-size=\"13\">\n");
    for (int step = axes->first_step; step <= axes->last_step; step++)
        buffer_put_fmt(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
                       y_of(axes, step_us(step)) + 4.5, format_us(step_us(step), label));
    for (int nine = 0; nine <= axes->nine_count; nine++)
        buffer_put_fmt(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f %%</text>\n",
                       x_of(axes, 1 - pow(10, -nine)), BOTTOM + 20, nine > 2 ? nine - 2 : 0,
                       100 * (1 - pow(10, -nine)));
    buffer_put_fmt(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">percentile</text>\n",
                   (LEFT + RIGHT) / 2, BOTTOM + 44);
    buffer_put_fmt(out,
                   "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">"
                   "latency (logarithmic)</text>\n</g>\n",
                   (TOP + BOTTOM) / 2);
}

static void put_series(struct buffer *out, const struct axes *axes,
                       const struct chart_series *series)
{
    const struct style *style = &styles[series->role];
    buffer_put_fmt(out,
                   "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" "
                   "stroke-linejoin=\"round\" stroke-dasharray=\"%s\" points=\"",
                   style->colour, style->dashes);
    for (uint32_t i = 0; i < drawn_count(&series->curve); i++)
        buffer_put_fmt(out, "%s%.1f,%.1f", i == 0 ? "" : " ",
                       x_of(axes, series->curve.points[i].share),
                       y_of(axes, series->curve.points[i].us));
    buffer_put_str(out, "\"/>\n");
}

/* One line: colour, name and the percentiles that people ask for. */
static void put_legend_line(struct buffer *out, int y, const struct chart_series *series)
{
    const struct style *style = &styles[series->role];
    char value[32];
    buffer_put_fmt(out,
                   "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" "
                   "stroke-width=\"3\" stroke-dasharray=\"%s\"/>\n",
                   LEFT, y - 5, LEFT + 30, y - 5, style->colour, style->dashes);
    buffer_put_fmt(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", LEFT + 40, y, style->name);
    for (int i = 0; i < QUANTILE_COUNT; i++)
        buffer_put_fmt(out,
                       "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#3b434b\">%s %s"
                       "</text>\n",
                       LEFT + 250 + 130 * i, y, quantiles[i].name,
                       format_us(series->curve.us[i], value));
}

void chart_render(const struct chart *chart, struct buffer *out)
{
    struct axes axes = measure(chart);
    buffer_put_fmt(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                   "height=\"%d\" font-family=\"system-ui, sans-serif\" font-size=\"14\">\n",
                   WIDTH, HEIGHT, WIDTH, HEIGHT);
    buffer_put_str(out, "<title>");
    put_escaped(out, chart->title);
    buffer_put_fmt(out, "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", WIDTH,
                   HEIGHT);
    buffer_put_fmt(out, "<text x=\"%d\" y=\"32\" font-size=\"19\" font-weight=\"600\">", LEFT);
    put_escaped(out, chart->title);
    buffer_put_fmt(out, "</text>\n<text x=\"%d\" y=\"54\" fill=\"#3b434b\">", LEFT);
    put_escaped(out, chart->subtitle);
    buffer_put_str(out, "</text>\n");
    put_grid(out, &axes);
    int y = LEGEND_Y;
    for (uint32_t i = 0; i < chart->count; i++) {
        if (chart->series[i].curve.count == 0)
            continue;
        put_series(out, &axes, &chart->series[i]);
        put_legend_line(out, y, &chart->series[i]);
        y += 20;
    }
    buffer_put_str(out, "</svg>\n");
}

/* A chart replaces its file, so that it is the folder that must be writable. */
enum err_code chart_check_path(const char *path, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    struct stat info;
    const char *slash = strrchr(path, '/');
    size_t dir_bytes = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (dir_bytes >= sizeof dir - 1)
        return err_set(err, ERR_LIMIT, "the path '%.80s...' is too long to write", path);
    snprintf(dir, sizeof dir, "%.*s", (int)dir_bytes, dir_bytes == 0 ? "" : path);
    bool is_there = stat(path, &info) == 0;
    if (path[dir_bytes] == '\0' || (is_there && S_ISDIR(info.st_mode)))
        return err_set(err, ERR_BAD_INPUT, "%s: expected a file to draw into, got a directory",
                       path);
    if (is_there && !S_ISREG(info.st_mode)) /* the chart would take its place */
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a file to draw into, got a device, pipe or socket", path);
    if (access(dir_bytes == 0 ? "." : dir, W_OK | X_OK) != 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                       "%s: no chart can be written there: %s", path, strerror(errno));
    return ERR_OK;
}

enum err_code chart_write(const struct chart *chart, const char *path, struct err *err)
{
    struct buffer out = {0};
    size_t len = 0;
    chart_render(chart, &out);
    char *text = buffer_take(&out, &len);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for the chart", path);
    enum err_code rc = file_write_atomic(path, text, len, err);
    free(text);
    return rc;
}
