/* The network card and what the guest knows of names. */
#pragma once

/* Does what `tt.ip=A.B.C.D/N tt.gw=G tt.mtu=M tt.dns=D,D tt.name=H` of the kernel command line say; a card that is not there yet is waited for. */
void net_begin(const char *cmdline);
