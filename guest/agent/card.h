/* A network card. */
#pragma once

#include <stdbool.h>

enum { CARD_NAME = 16, CARD_ADDRESS = 16 };

/* The first one that has hardware, or else the first but the loopback. False if there is none. */
bool card_first(char name[CARD_NAME]);

/* Its address, as text; false if it has none. */
bool card_address(const char *name, char address[CARD_ADDRESS]);

/* Gives it the address (`10.77.0.2/24`), a gateway unless it is empty, and an MTU unless it is 0; what it has already is left alone. 0 or an errno. */
int card_set(const char *name, const char *address, const char *gateway, int mtu);
