package linkserver

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openvic/vic/sdk/guest/linkv1"
	"github.com/openvic/vic/tether/health"
	"github.com/openvic/vic/tether/supervisor"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// phases are the protocol's words.
func phase(p supervisor.Phase) linkv1.ContainerState_Phase {
	switch p {
	case supervisor.Starting:
		return linkv1.ContainerState_PHASE_STARTING
	case supervisor.Running:
		return linkv1.ContainerState_PHASE_RUNNING
	case supervisor.Restarting:
		return linkv1.ContainerState_PHASE_RESTARTING
	}
	return linkv1.ContainerState_PHASE_ENDED
}

// state says in the protocol's words how the container is.
func (s *Server) state() (*linkv1.ContainerState, <-chan struct{}) {
	l := s.Machine.Supervisor()
	st, changed := l.State()
	c := &linkv1.ContainerState{Phase: phase(st.Phase), Paused: st.Paused, Restarts: int64(st.Restarts), Pid: int64(st.PID),
		Started: timestamp(st.Started), OutputStart: st.OutputStart, Health: healthStatus(st.Health)}
	if st.Exit != nil {
		c.LastExit = exitStatus(l.Task(), *st.Exit)
	}
	return c, changed
}

func healthStatus(h *health.Status) *linkv1.Health {
	if h == nil {
		return nil
	}
	out := &linkv1.Health{Status: h.Status, FailingStreak: int64(h.FailingStreak)}
	for _, r := range h.Log {
		out.Log = append(out.Log, &linkv1.Probe{Start: timestamppb.New(r.Start), End: timestamppb.New(r.End),
			ExitCode: int32(r.ExitCode), Output: r.Output})
	}
	return out
}

// WatchState implements linkv1.LinkServer.
func (s *Server) WatchState(_ *linkv1.WatchStateRequest, stream grpc.ServerStreamingServer[linkv1.WatchStateResponse]) error {
	for {
		st, changed := s.state()
		if err := stream.Send(&linkv1.WatchStateResponse{State: st}); err != nil {
			return err
		}
		if st.Phase == linkv1.ContainerState_PHASE_ENDED {
			return nil
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		}
	}
}

// Pause implements linkv1.LinkServer.
func (s *Server) Pause(context.Context, *linkv1.PauseRequest) (*linkv1.PauseResponse, error) {
	return &linkv1.PauseResponse{}, s.Machine.Supervisor().Pause()
}

// Resume implements linkv1.LinkServer.
func (s *Server) Resume(context.Context, *linkv1.ResumeRequest) (*linkv1.ResumeResponse, error) {
	return &linkv1.ResumeResponse{}, s.Machine.Supervisor().Resume()
}

// Stats implements linkv1.LinkServer.
func (s *Server) Stats(req *linkv1.StatsRequest, stream grpc.ServerStreamingServer[linkv1.StatsResponse]) error {
	interval := time.Duration(req.IntervalMs) * time.Millisecond
	for {
		st, err := s.Machine.Usage().Stats()
		if err != nil {
			return err
		}
		if err := stream.Send(st); err != nil || interval <= 0 {
			return noEOF(err)
		}
		select {
		case <-time.After(interval):
		case <-s.Machine.Supervisor().Ended():
			return nil
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		}
	}
}

// noEOF drops the error of a stream whose client has gone.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Processes implements linkv1.LinkServer.
func (s *Server) Processes(context.Context, *linkv1.ProcessesRequest) (*linkv1.ProcessesResponse, error) {
	return s.Machine.Usage().Processes()
}

// Update implements linkv1.LinkServer.
func (s *Server) Update(_ context.Context, req *linkv1.UpdateRequest) (*linkv1.UpdateResponse, error) {
	l, res := s.Machine.Limits(), &linkv1.UpdateResponse{}
	if req.Memory != nil {
		if err := l.LimitMemory(*req.Memory); err != nil {
			return res, err
		}
	}
	if req.NanoCpus != nil {
		if err := l.LimitCPU(*req.NanoCpus); err != nil {
			return res, err
		}
	}
	if req.Pids != nil {
		return res, l.LimitPids(*req.Pids)
	}
	return res, nil
}
