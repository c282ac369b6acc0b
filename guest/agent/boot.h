/* From the start of process 1 to a system that can run commands. */
#pragma once

/* First of all: /dev, and somewhere to say what goes wrong. */
void boot_console(void);

/* Mounts, drivers, the real root, names and network. Ends the machine if there is no way on. */
void boot(void);

/* What can wait until the first word with the host was had: entropy from it, and /etc/tt/rc in the background. */
void boot_rest(char **env);
