package linktest

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// restartPause stands for the tether's pauses before a restart.
const restartPause = 30 * time.Millisecond

// live starts the process again as the policy says.
func (t *Tether) live() {
	defer close(t.ended)
	for {
		<-t.process0().done
		exit := t.process0().status()
		t.mu.Lock()
		t.last = &exit
		again := !t.stopped && !t.dead && exit.Error == "" && t.cfg.Restart.Wants(exit.Code, t.cfg.Restart.Count+t.restarts)
		if again {
			t.restarts++
		}
		t.waits, t.over, t.paused = again, !again, false
		t.notify()
		t.mu.Unlock()
		if !again {
			return
		}
		select {
		case <-time.After(restartPause):
		case <-t.stop:
		case <-t.halted:
		}
		t.mu.Lock()
		if t.stopped || t.dead {
			t.waits, t.over = false, true
			t.notify()
			t.mu.Unlock()
			return
		}
		t.main, t.waits = startProcess(t.cfg.Process, t.main.Out), false
		t.notify()
		t.mu.Unlock()
	}
}

// process0 is the container's own process.
func (t *Tether) process0() *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.main
}

func (t *Tether) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// noMore ends the restart policy; true if there is no process to signal.
func (t *Tether) noMore() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.stopped = true
		close(t.stop)
	}
	t.paused = false
	return t.waits
}

// SetHealth is the health check's word.
func (t *Tether) SetHealth(status string, streak int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := timestamppb.Now()
	t.health = &linkv1.Health{Status: status, FailingStreak: int64(streak),
		Log: []*linkv1.Probe{{Start: now, End: now, ExitCode: int32(min(streak, 1)), Output: "checked"}}}
	t.notify()
}

// Limits are those that Update has set.
func (t *Tether) Limits() guest.Limits {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits
}

func (t *Tether) state() (*linkv1.ContainerState, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &linkv1.ContainerState{Phase: linkv1.ContainerState_PHASE_ENDED, Paused: t.paused, Restarts: int64(t.restarts),
		Health: t.health, Started: timestamppb.New(t.main.status().Started)}
	switch {
	case t.booting:
		s.Phase = linkv1.ContainerState_PHASE_STARTING
	case t.main.running():
		s.Phase, s.Pid = linkv1.ContainerState_PHASE_RUNNING, 42
	case t.waits:
		s.Phase = linkv1.ContainerState_PHASE_RESTARTING
	case !t.over:
		s.Phase = linkv1.ContainerState_PHASE_RUNNING // its end is about to be seen
	}
	if t.last != nil {
		s.LastExit = &linkv1.ExitStatus{Code: t.last.Code, Error: t.last.Error, Started: timestamppb.New(t.last.Started), Finished: timestamppb.New(t.last.Finished)}
	}
	return s, t.changed
}

// SetBooting has the tether say that the process has not been started yet, or that it has.
func (t *Tether) SetBooting(booting bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.booting = booting
	t.notify()
}

// Hellos is how often the host has asked who is there.
func (t *Tether) Hellos() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hellos
}

// WatchState implements the link.
func (t *Tether) WatchState(_ *linkv1.WatchStateRequest, s linkv1.Link_WatchStateServer) error {
	for {
		st, changed := t.state()
		if err := s.Send(&linkv1.WatchStateResponse{State: st}); err != nil {
			return err
		}
		if st.Phase == linkv1.ContainerState_PHASE_ENDED {
			return nil
		}
		select {
		case <-changed:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

// Pause implements the link.
func (t *Tether) Pause(context.Context, *linkv1.PauseRequest) (*linkv1.PauseResponse, error) {
	return &linkv1.PauseResponse{}, t.setPaused(true)
}

// Resume implements the link.
func (t *Tether) Resume(context.Context, *linkv1.ResumeRequest) (*linkv1.ResumeResponse, error) {
	return &linkv1.ResumeResponse{}, t.setPaused(false)
}

func (t *Tether) setPaused(paused bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.main.running() {
		return status.Error(codes.FailedPrecondition, "no process runs")
	}
	t.paused = paused
	t.notify()
	return nil
}

// Update implements the link.
func (t *Tether) Update(_ context.Context, r *linkv1.UpdateRequest) (*linkv1.UpdateResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Memory != nil {
		t.limits.Memory = *r.Memory
	}
	if r.NanoCpus != nil {
		t.limits.NanoCPUs = *r.NanoCpus
	}
	if r.Pids != nil {
		t.limits.Pids = *r.Pids
	}
	return &linkv1.UpdateResponse{}, nil
}

// Stats implements the link: one processor of two is busy.
func (t *Tether) Stats(r *linkv1.StatsRequest, s linkv1.Link_StatsServer) error {
	begun := t.process0().status().Started
	for {
		ns := uint64(time.Since(begun))
		err := s.Send(&linkv1.StatsResponse{Time: timestamppb.Now(), Pids: 1,
			Cpu:        &linkv1.CPUStats{TotalNs: ns, UserNs: ns, MachineNs: 2 * ns, Online: 2},
			Memory:     &linkv1.MemoryStats{Usage: 10 << 20, Limit: 256 << 20, Stats: map[string]uint64{"inactive_file": 2 << 20}},
			Interfaces: []*linkv1.InterfaceStats{{Name: "eth0", RxBytes: 1000, TxBytes: 2000}},
			Devices:    []*linkv1.DeviceStats{{Major: 8, ReadBytes: 4096, WriteBytes: 8192}}})
		if err != nil || r.GetIntervalMs() == 0 {
			return err
		}
		select {
		case <-time.After(time.Duration(r.GetIntervalMs()) * time.Millisecond):
		case <-t.ended:
			return nil
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

// Processes implements the link.
func (t *Tether) Processes(context.Context, *linkv1.ProcessesRequest) (*linkv1.ProcessesResponse, error) {
	p := t.process0()
	return &linkv1.ProcessesResponse{Time: timestamppb.Now(), Memory: 256 << 20, Processes: []*linkv1.ProcessInfo{{Pid: 42, Ppid: 1,
		User: "root", Group: "root", State: "Ss", Tty: "?", Started: timestamppb.New(p.status().Started), CpuNs: 1e9,
		Command: p.Spec.Args[0], Args: p.Spec.Args}}}, nil
}
