/* The ways in which a stream to the host is had. */
#pragma once

/* The virtio-serial port of this name: waited for, opened, and looked for again should it go. */
void door_port(const char *name);

/* A stream that is open already; its end is the agent's. */
void door_stream(int fd);

/* Calls on a listening socket. The newest who has proved itself is heard. */
void door_calls(int listener);
