import { channelContract } from "../../src/drivers/channel/channel.contract.js";
import { calledAgent } from "./local-agent.js";
channelContract({ name: 'rexec to the real agent', make: () => calledAgent('sanitized') });
