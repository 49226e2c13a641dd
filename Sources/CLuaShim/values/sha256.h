/* SHA-256 (FIPS 180-4). Internal to the shim. */
#ifndef HANDOUT_SHA256_H
#define HANDOUT_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct handout_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
} handout_sha256;

void handout_sha256_begin(handout_sha256 *hash);
void handout_sha256_add(handout_sha256 *hash, const void *bytes, size_t length);
/* Writes 64 hexadecimal digits and a NUL. */
void handout_sha256_end(handout_sha256 *hash, char hex[65]);

#endif
