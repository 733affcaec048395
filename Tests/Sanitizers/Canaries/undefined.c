// A signed sum that overflows.
#include <limits.h>

int main(int count, char **words) {
    (void)words;
    return INT_MAX + count > 0;
}
