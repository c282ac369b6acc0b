/* The tag of the AEAD of RFC 8439 over bytes that are only authenticated: what Poly1305 makes of them, of zeros up to a block, and of their number. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { POLY1305_KEY_SIZE = 32, POLY1305_SIZE = 16 };

/* `key` is the one-time key. Ten times as fast as SHA-256 where a processor is emulated. */
void poly1305_tag(const uint8_t key[POLY1305_KEY_SIZE], const uint8_t *bytes, size_t size, uint8_t tag[POLY1305_SIZE]);
