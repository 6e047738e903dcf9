package api

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/pull"
	"github.com/aitbc/aitbc/services/miner/internal/session"
)

// Work is what runs.
type Work interface {
	Report() attempt.Report
	Status() attempt.Status
	// Earnings gives what was earned, the newest first.
	Earnings() ([]attempt.Earning, error)
}

// Pulls are the models that are being fetched.
type Pulls interface {
	// States gives those that the engine still lacks.
	States() []pull.State
}

// Sessions is the way to the coordinator.
type Sessions interface {
	Status() session.Status
	// Claim asks for one job. Errors: session.ErrNoSession, session.ErrBusy, ctx's.
	Claim(ctx context.Context, claim *coordinatorv1.JobClaim) (*coordinatorv1.JobClaimAnswer, error)
}

// service implements the contract.
type service struct {
	minerv1.UnimplementedMinerServiceServer

	config   Config
	work     Work
	pulls    Pulls
	sessions Sessions
	drain    *drain
}

// GetStatus implements the contract.
func (s *service) GetStatus(context.Context, *minerv1.GetStatusRequest) (*minerv1.GetStatusResponse, error) {
	report, work, link := s.work.Report(), s.work.Status(), s.sessions.Status()
	status := &minerv1.MinerStatus{
		MinerId:           s.config.Miner.String(),
		Session:           sessionWord(link, report.State),
		Coordinator:       link.Address,
		LastError:         link.LastError,
		EngineUrl:         s.config.EngineURL,
		Engine:            report.State.GetEngine(),
		Slots:             report.State.GetSlots(),
		UnacceptedResults: int32(len(report.Results)),
		CompletedAttempts: work.Completed,
		FailedAttempts:    work.Failed,
	}
	if status.LastError == "" {
		status.LastError = work.EngineError
	}
	for _, r := range work.Running {
		status.Running = append(status.Running, &minerv1.RunningJob{
			JobId: r.JobID, LeaseId: r.LeaseID, Model: r.Model, StartedAt: timestamppb.New(r.Started),
		})
	}
	for _, m := range report.State.GetModels() {
		status.Models = append(status.Models, &minerv1.ModelStatus{Name: m.GetName(), Digest: m.GetDigest(), Warm: m.GetWarm(), Slots: m.GetSlots()})
	}
	for _, w := range work.Withheld {
		status.Withheld = append(status.Withheld, &minerv1.WithheldModel{Name: w.Name, Why: w.Why})
	}
	for _, p := range s.pulls.States() {
		status.Pulls = append(status.Pulls, pullStatus(p))
	}
	status.PullableModels = report.State.GetPullableModels()
	status.Devices = devices(report.State.GetDevices(), work.Readings)
	status.Why = reasons(link.Why)
	return &minerv1.GetStatusResponse{Status: status}, nil
}

func pullStatus(p pull.State) *minerv1.PullStatus {
	status := &minerv1.PullStatus{Name: p.Name, Active: p.Active, Requested: p.Requested, CompletedBytes: p.DoneBytes, TotalBytes: p.TotalBytes}
	if p.Err != nil {
		status.LastError = strings.TrimSpace(p.Err.Error()) // it ends with what a registry said
	}
	return status
}

// devices shows each device, a GPU with what it measures of itself.
func devices(listed []*coordinatorv1.MinerDevice, readings []device.Reading) []*minerv1.DeviceStatus {
	shown := make([]*minerv1.DeviceStatus, len(listed))
	for i, d := range listed {
		shown[i] = &minerv1.DeviceStatus{Name: d.GetName(), Kind: d.GetKind()}
		if d.GetKind() != device.GPU || len(readings) == 0 {
			continue
		}
		r := readings[0]
		readings = readings[1:]
		shown[i].TemperatureCelsius, shown[i].PowerWatts, shown[i].Utilization, shown[i].MemoryUsedBytes = r.Celsius, r.Watts, r.Use, r.MemoryBytes
	}
	return shown
}

func sessionWord(link session.Status, state *coordinatorv1.MinerState) string {
	switch {
	case state.GetDraining():
		return "draining"
	case link.Connected:
		return "connected"
	default:
		return "connecting"
	}
}

// AssignJob implements the contract.
func (s *service) AssignJob(ctx context.Context, request *minerv1.AssignJobRequest) (*minerv1.AssignJobResponse, error) {
	if _, err := aitbc.ParseJobID(request.GetJobId()); err != nil {
		return nil, apierr.InvalidField("job_id", "must be job_ and 26 lower-case characters").WithCause(err)
	}
	if reward := request.GetReward(); reward != "" {
		if _, err := aitbc.ParseAmount(reward); err != nil {
			return nil, apierr.InvalidField("reward", `must be coin text such as "0.25aitbc"`).WithCause(err)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, s.config.ClaimTimeout)
	defer cancel()
	data := request.GetJobData()
	answer, err := s.sessions.Claim(waiting, &coordinatorv1.JobClaim{
		JobId: request.GetJobId(), Type: data.GetType(), Prompt: data.GetPrompt(), Model: data.GetModel(),
	})
	switch {
	case errors.Is(err, session.ErrBusy):
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "this job, or too many others, is being asked for already").WithCause(err)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_COORDINATOR_UNAVAILABLE, "no coordinator answered").WithCause(err)
	case answer.GetLeaseId() == "":
		return nil, refusal(answer)
	}
	return &minerv1.AssignJobResponse{JobId: answer.GetJobId(), LeaseId: answer.GetLeaseId(), Status: "running"}, nil
}

// refusal passes the coordinator's reason on.
func refusal(answer *coordinatorv1.JobClaimAnswer) error {
	reason, ok := apierr.ParseWord(answer.GetReason())
	if !ok {
		reason = coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE
	}
	return apierr.New(reason, "the coordinator refused: %s", answer.GetMessage()).
		With(obs.KeyJobID, answer.GetJobId()).With("why", answer.GetMessage())
}
