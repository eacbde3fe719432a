package replicate

import (
	"math"

	"github.com/openvic/vic/sdk/internal/wire"
	replicatev1 "github.com/openvic/vic/sdk/proto/replicate/v1"
	"github.com/openvic/vic/sdk/secret"
)

// size makes a number that is too large one that no check accepts.
func size(n uint64) int64 {
	if n > math.MaxInt64 {
		return -1
	}
	return int64(n)
}

func descriptionToWire(d Description) *replicatev1.DescribeResponse {
	return &replicatev1.DescribeResponse{Kind: d.Kind, Title: d.Title, Schemes: d.Schemes, Filters: d.Filters}
}

func descriptionFromWire(d *replicatev1.DescribeResponse) Description {
	return Description{Kind: d.GetKind(), Title: d.GetTitle(), Schemes: d.GetSchemes(), Filters: d.GetFilters()}
}

func endpointToWire(e Endpoint) *replicatev1.Endpoint {
	return &replicatev1.Endpoint{Url: e.URL, Username: e.Username, Secret: string(e.Secret), Ca: e.CA, SkipVerify: e.SkipVerify, Options: e.Options}
}

func endpointFromWire(e *replicatev1.Endpoint) Endpoint {
	return Endpoint{URL: e.GetUrl(), Username: e.GetUsername(), Secret: secret.Text(e.GetSecret()), CA: e.GetCa(),
		SkipVerify: e.GetSkipVerify(), Options: e.GetOptions()}
}

func statusToWire(s Status) *replicatev1.CheckResponse {
	return &replicatev1.CheckResponse{Product: s.Product, MayPull: s.MayPull, MayPush: s.MayPush, ReferrersApi: s.ReferrersAPI, Warnings: s.Warnings}
}

func statusFromWire(s *replicatev1.CheckResponse) Status {
	return Status{Product: s.GetProduct(), MayPull: s.GetMayPull(), MayPush: s.GetMayPush(), ReferrersAPI: s.GetReferrersApi(), Warnings: s.GetWarnings()}
}

func listToWire(r ListRequest) *replicatev1.ListRequest {
	return &replicatev1.ListRequest{Remote: endpointToWire(r.Remote), Repositories: r.Repositories, Tags: r.Tags, Since: wire.FromTime(r.Since)}
}

func listFromWire(r *replicatev1.ListRequest) ListRequest {
	return ListRequest{Remote: endpointFromWire(r.GetRemote()), Repositories: r.GetRepositories(), Tags: r.GetTags(), Since: wire.ToTime(r.GetSince())}
}

func artifactToWire(a Artifact) *replicatev1.Artifact {
	return &replicatev1.Artifact{Repository: a.Repository, Tag: a.Tag, Digest: a.Digest, MediaType: a.MediaType, Labels: a.Labels,
		Size: uint64(max(a.Size, 0)), Pushed: wire.FromTime(a.Pushed)}
}

func artifactFromWire(a *replicatev1.Artifact) Artifact {
	return Artifact{Repository: a.GetRepository(), Tag: a.GetTag(), Digest: a.GetDigest(), MediaType: a.GetMediaType(),
		Labels: a.GetLabels(), Size: size(a.GetSize()), Pushed: wire.ToTime(a.GetPushed())}
}

func copyToWire(r CopyRequest) *replicatev1.CopyRequest {
	return &replicatev1.CopyRequest{
		Id: r.ID, From: endpointToWire(r.From), To: endpointToWire(r.To), Repository: r.Repository, Digest: r.Digest,
		ToRepository: r.ToRepository, ToTag: r.ToTag, Override: r.Override, Referrers: r.Referrers,
		BytesPerSecond: uint64(max(r.BytesPerSecond, 0)), Parallel: uint32(max(r.Parallel, 0)),
		Checkpoint: []byte(r.Checkpoint), Via: r.Via,
	}
}

func copyFromWire(r *replicatev1.CopyRequest) CopyRequest {
	return CopyRequest{
		ID: r.GetId(), From: endpointFromWire(r.GetFrom()), To: endpointFromWire(r.GetTo()), Repository: r.GetRepository(), Digest: r.GetDigest(),
		ToRepository: r.GetToRepository(), ToTag: r.GetToTag(), Override: r.GetOverride(), Referrers: r.GetReferrers(),
		BytesPerSecond: size(r.GetBytesPerSecond()), Parallel: int(min(r.GetParallel(), MaxParallel+1)),
		Checkpoint: secret.Text(r.GetCheckpoint()), Via: r.GetVia(),
	}
}

func progressToWire(p Progress) *replicatev1.Progress {
	return &replicatev1.Progress{Bytes: uint64(max(p.Bytes, 0)), Skipped: uint64(max(p.Skipped, 0)), Total: uint64(max(p.Total, 0)),
		Checkpoint: []byte(p.Checkpoint)}
}

func progressFromWire(p *replicatev1.Progress) Progress {
	return Progress{Bytes: size(p.GetBytes()), Skipped: size(p.GetSkipped()), Total: size(p.GetTotal()), Checkpoint: secret.Text(p.GetCheckpoint())}
}

func resultToWire(r Result) *replicatev1.Result {
	return &replicatev1.Result{Bytes: uint64(max(r.Bytes, 0)), Skipped: uint64(max(r.Skipped, 0)), Referrers: uint32(max(r.Referrers, 0))}
}

func resultFromWire(r *replicatev1.Result) Result {
	return Result{Bytes: size(r.GetBytes()), Skipped: size(r.GetSkipped()), Referrers: int(min(r.GetReferrers(), math.MaxInt32))}
}

func deleteToWire(r DeleteRequest) *replicatev1.DeleteRequest {
	return &replicatev1.DeleteRequest{Remote: endpointToWire(r.Remote), Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}
}

func deleteFromWire(r *replicatev1.DeleteRequest) DeleteRequest {
	return DeleteRequest{Remote: endpointFromWire(r.GetRemote()), Repository: r.GetRepository(), Tag: r.GetTag(), Digest: r.GetDigest()}
}

func prepareToWire(r PrepareRequest) *replicatev1.PrepareRequest {
	return &replicatev1.PrepareRequest{Remote: endpointToWire(r.Remote), Repository: r.Repository, Public: r.Public}
}

func prepareFromWire(r *replicatev1.PrepareRequest) PrepareRequest {
	return PrepareRequest{Remote: endpointFromWire(r.GetRemote()), Repository: r.GetRepository(), Public: r.GetPublic()}
}
