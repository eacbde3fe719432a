package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	cerrdefs "github.com/containerd/errdefs"
)

const (
	labelContainer = "vic/container" // on the lease of a container
	labelHeld      = "vic/layer"
	labelPull      = "vic/pull"    // on the lease of a running pull; the process that runs it
	labelPartial   = "vic/partial" // on the lease that keeps the blobs of a pull that failed
	labelExpire    = "containerd.io/gc.expire"

	pullLease    = 24 * time.Hour // should this process die
	partialLease = time.Hour      // how long the blobs of a failed pull wait for the next try

	typeContent = "content"
	typeIngest  = "ingests"
	typeLayers  = "snapshots/" + snapshotterName
)

// Hold keeps a container's layer (Image.Layer) and those below it from the garbage collection until
// Release, whatever happens to the image. It may be called again, and for a layer that this store
// does not know (the state disk was lost): should the layer be pulled, it is held.
func (s *Service) Hold(ctx context.Context, containerID, layer string) error {
	ctx = s.scope.in(ctx)
	lease := leases.Lease{ID: leaseOf(containerID)}
	_, err := s.leases.Create(ctx, leases.WithID(lease.ID), leases.WithLabels(map[string]string{
		labelContainer: containerID, labelHeld: layer,
	}))
	if err != nil && !cerrdefs.IsAlreadyExists(err) {
		return fmt.Errorf("hold layer of container %s: %w", containerID, err)
	}
	if layer == "" {
		return nil
	}
	if err := s.leases.AddResource(ctx, lease, leases.Resource{Type: typeLayers, ID: "sha256:" + layer}); err != nil {
		return fmt.Errorf("hold layer of container %s: %w", containerID, err)
	}
	return nil
}

// Release ends Hold. A container that holds nothing is no error. Layers that nothing needs any more
// are removed in the background.
func (s *Service) Release(ctx context.Context, containerID string) error {
	err := s.leases.Delete(s.scope.in(ctx), leases.Lease{ID: leaseOf(containerID)})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("release layer of container %s: %w", containerID, err)
	}
	s.gc.soon()
	return nil
}

// Holds lists the containers that hold a layer, with the layer.
func (s *Service) Holds(ctx context.Context) (map[string]string, error) {
	all, err := s.leases.List(s.scope.in(ctx))
	if err != nil {
		return nil, fmt.Errorf("list held layers: %w", err)
	}
	held := map[string]string{}
	for _, l := range all {
		if id := l.Labels[labelContainer]; id != "" {
			held[id] = l.Labels[labelHeld]
		}
	}
	return held, nil
}

func leaseOf(containerID string) string { return "container-" + containerID }

// withPullLease keeps what a pull fetches until its image refers to it. What done does with it
// depends on the outcome: after a failure the blobs, whole or in part, are kept for the next try.
func (s *Service) withPullLease(ctx context.Context) (context.Context, func(error), error) {
	l, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithExpiration(pullLease),
		leases.WithLabel(labelPull, s.instance))
	if err != nil {
		return ctx, nil, err
	}
	done := func(err error) {
		ctx := context.WithoutCancel(ctx)
		if err != nil {
			s.keepPartial(ctx, l, err)
		} else if err := s.leases.Delete(ctx, l); err != nil {
			s.log.Warn("lease of a pull stays until it expires", "err", err)
		}
		s.gc.soon()
	}
	return leases.WithLease(ctx, l.ID), done, nil
}

// keepPartial moves the blobs of a pull that failed to a lease that ends by itself, and lets go of
// its layers. A blob whose content was wrong is not kept.
func (s *Service) keepPartial(ctx context.Context, l leases.Lease, cause error) {
	res, err := s.leases.ListResources(ctx, l)
	if err != nil {
		s.log.Warn("lease of a failed pull stays until it expires", "err", err)
		return
	}
	var keep []leases.Resource
	for _, r := range res {
		if r.Type == typeIngest && cerrdefs.IsFailedPrecondition(cause) && s.abortComplete(ctx, r.ID) {
			continue
		}
		if r.Type == typeIngest || r.Type == typeContent {
			keep = append(keep, r)
		}
	}
	if len(keep) > 0 {
		err = s.lease(ctx, keep, leases.WithRandomID(), leases.WithExpiration(partialLease), leases.WithLabel(labelPartial, "true"))
	}
	if err := errors.Join(err, s.leases.Delete(ctx, l)); err != nil {
		s.log.Warn("what a failed pull has downloaded could not be kept for the next try", "err", err)
	}
}

func (s *Service) lease(ctx context.Context, keep []leases.Resource, opts ...leases.Opt) error {
	l, err := s.leases.Create(ctx, opts...)
	if err != nil {
		return err
	}
	for _, r := range keep {
		if err := s.leases.AddResource(ctx, l, r); err != nil {
			return err
		}
	}
	return nil
}

// abortComplete drops a download that has all its bytes but was not accepted: they are the wrong
// ones, and resuming it would fail for ever.
func (s *Service) abortComplete(ctx context.Context, ref string) bool {
	st, err := s.content.Status(ctx, ref)
	if err != nil || st.Total == 0 || st.Offset < st.Total {
		return false
	}
	return s.content.Abort(ctx, ref) == nil
}

// retireDeadPulls treats the pulls of a process that died as failed ones.
func (s *Service) retireDeadPulls(ctx context.Context) {
	all, err := s.leases.List(ctx)
	if err != nil {
		s.log.Warn("leases of dead pulls stay until they expire", "err", err)
		return
	}
	for _, l := range all {
		if owner := l.Labels[labelPull]; owner != "" && owner != s.instance {
			s.keepPartial(ctx, l, nil)
		}
	}
}

// dropPartials gives up what failed pulls have downloaded: somebody removes images to make room.
func (s *Service) dropPartials(ctx context.Context) {
	all, err := s.leases.List(ctx)
	if err != nil {
		return
	}
	for _, l := range all {
		if l.Labels[labelPartial] != "" {
			if err := s.leases.Delete(ctx, l); err != nil && !cerrdefs.IsNotFound(err) {
				s.log.Warn("downloads of a failed pull stay until they expire", "err", err)
			}
		}
	}
}
