/* How the guest is, told to its host by itself every some seconds. */
#pragma once

/* A host has come: it is told at once, and from then on, unless it takes nothing. */
void beat_begin(void);
