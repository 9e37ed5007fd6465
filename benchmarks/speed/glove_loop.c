// The released loop of GloVe over cells, one AdaGrad update each; compiled and called by glove_loop.py.
#include <math.h>
#include <stdint.h>

// table and squares: 2 * words rows of width + 1 numbers, centers first, the last number of a row its bias.
void pass_over_cells(int64_t cells, const int32_t *centers, const int32_t *neighbors, const float *counts,
                     int64_t words, int64_t width, float *table, float *squares, float rate, float x_max, float alpha) {
    int64_t row = width + 1;
    for (int64_t cell = 0; cell < cells; cell++) {
        float *one = table + centers[cell] * row, *other = table + (words + neighbors[cell]) * row;
        float *one_squares = squares + centers[cell] * row, *other_squares = squares + (words + neighbors[cell]) * row;
        float difference = one[width] + other[width] - logf(counts[cell]);
        for (int64_t i = 0; i < width; i++) difference += one[i] * other[i];
        float weight = counts[cell] < x_max ? powf(counts[cell] / x_max, alpha) : 1.0f;
        float pull = rate * weight * difference;
        for (int64_t i = 0; i < row; i++) {
            float by_one = i < width ? pull * other[i] : pull, by_other = i < width ? pull * one[i] : pull;
            one[i] -= by_one / sqrtf(one_squares[i]);
            other[i] -= by_other / sqrtf(other_squares[i]);
            one_squares[i] += by_one * by_one;
            other_squares[i] += by_other * by_other;
        }
    }
}
