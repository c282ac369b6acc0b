/* What the host is known by: 32 bytes that it and this guest share. docs/rexec-protocol.md says what they prove. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/* The key is in this file, as 64 hexadecimal digits that only we may read; ends the agent if not. No other is ever taken. */
void key_require(const char *path);

/* The key that the first host gave is kept in this directory, so that an agent that is restarted knows it; for as long as this boot lasts. */
void key_keep(const char *dir);

bool key_known(void);

/* False if there is one already. */
bool key_take(const uint8_t *key, size_t size);

/* HMAC-SHA256 under the key over a word that says what it is for, a zero byte, and both nonces. */
void key_mac(const char *word, const uint8_t host_nonce[NONCE_SIZE], const uint8_t guest_nonce[NONCE_SIZE], uint8_t mac[MAC_SIZE]);

/* Takes as long for unlike bytes as for like ones. */
bool key_equal(const uint8_t *one, const uint8_t *other, size_t size);
