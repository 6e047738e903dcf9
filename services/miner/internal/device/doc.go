// Package device says what a miner's machine computes with: its processor, and its NVIDIA GPUs when
// the driver's nvidia-smi is there.
//
// Invariant: nothing is invented. A GPU's use is measured while a job runs, on machines that have
// one; elsewhere it is absent. Start at [Probe.List] and [Probe.Watch].
package device
