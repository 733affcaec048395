#if !__has_include(<crypt.h>)
#error "the headers of libcrypt are missing: install the Debian package libcrypt-dev, or run Scripts/setup, which installs all that are needed"
#endif

#define _GNU_SOURCE
#include "CCrypt.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool dstack_bcrypt(const void *password, size_t count, const char *setting, char hash[DSTACK_BCRYPT_SIZE]) {
    hash[0] = 0;
    // The library would read the beginning for the whole.
    if (count > 0 && memchr(password, 0, count)) return false;
    if (strncmp(setting, "$2", 2) != 0) return false;
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data) return false;
    bool done = false;
    if (count < sizeof data->input) {
        if (count > 0) memcpy(data->input, password, count);
        const char *made = crypt_r(data->input, setting, data);
        if (made && made[0] == '$' && strlen(made) == DSTACK_BCRYPT_SIZE - 1) {
            memcpy(hash, made, DSTACK_BCRYPT_SIZE);
            done = true;
        }
    }
    explicit_bzero(data, sizeof *data);
    free(data);
    return done;
}

void dstack_crypt_stand_back(void) {
    // On Linux, of the one thread. Where it fails, the thread counts as much as the others.
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
}
