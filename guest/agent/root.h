/* From the initrd to the disk. */
#pragma once

/* Makes the `root=` of the kernel command line `/`, without starting the agent anew, and gives the initrd's memory back. Without `root=` the initrd stays. */
void root_enter(const char *cmdline);
