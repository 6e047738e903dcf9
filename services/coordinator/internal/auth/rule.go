package auth

import (
	"maps"
	"slices"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// rule says who may call a method.
type rule struct {
	// open methods need no key.
	open bool
	// replica methods are for other replicas only.
	replica bool
	// scopes that may call it.
	scopes []store.Scope
}

func open() rule                      { return rule{open: true} }
func only(scopes ...store.Scope) rule { return rule{scopes: scopes} }
func (r rule) allows(s store.Scope) bool {
	for _, scope := range r.scopes {
		if scope == s {
			return true
		}
	}
	return false
}

// Methods lists, sorted, the methods that have a rule.
func Methods() []string { return slices.Sorted(maps.Keys(rules())) }

// rules is the whole table, by full method name.
func rules() map[string]rule {
	client := only(store.ScopeClient)
	reader := only(store.ScopeClient, store.ScopeReader)
	miner := only(store.ScopeMiner)
	admin := only(store.ScopeAdmin)
	party := only(store.ScopeClient, store.ScopeReader, store.ScopeMiner)
	anyKey := only(store.ScopeClient, store.ScopeReader, store.ScopeMiner, store.ScopeAdmin)
	return map[string]rule{
		coordinatorv1.JobService_SubmitJob_FullMethodName:  client,
		coordinatorv1.JobService_QuoteJob_FullMethodName:   reader,
		coordinatorv1.JobService_GetJob_FullMethodName:     reader,
		coordinatorv1.JobService_ListJobs_FullMethodName:   reader,
		coordinatorv1.JobService_CancelJob_FullMethodName:  client,
		coordinatorv1.JobService_WatchJob_FullMethodName:   reader,
		coordinatorv1.JobService_ExplainJob_FullMethodName: reader,

		coordinatorv1.LeaseService_ListLeases_FullMethodName:  miner,
		coordinatorv1.LeaseService_StartJob_FullMethodName:    miner,
		coordinatorv1.LeaseService_CompleteJob_FullMethodName: miner,

		coordinatorv1.ReceiptService_GetReceipt_FullMethodName: party,

		coordinatorv1.NetworkService_GetAccount_FullMethodName:           anyKey,
		coordinatorv1.NetworkService_ListStatementEntries_FullMethodName: anyKey,
		coordinatorv1.NetworkService_ListMiners_FullMethodName:           anyKey,
		coordinatorv1.NetworkService_ExplainMiner_FullMethodName:         anyKey,
		coordinatorv1.NetworkService_GetModel_FullMethodName:             anyKey,
		coordinatorv1.NetworkService_ListModels_FullMethodName:           anyKey,

		coordinatorv1.KeyService_CreateKey_FullMethodName: admin,
		coordinatorv1.KeyService_ListKeys_FullMethodName:  admin,
		coordinatorv1.KeyService_RotateKey_FullMethodName: admin,
		coordinatorv1.KeyService_RevokeKey_FullMethodName: admin,

		replicav1.ReplicaService_Settle_FullMethodName:     {replica: true},
		replicav1.ReplicaService_Notify_FullMethodName:     {replica: true},
		replicav1.ReplicaService_ListMiners_FullMethodName: {replica: true},

		// Registered on development networks only.
		coordinatorv1.FaucetService_FillAccount_FullMethodName: open(),

		// The miner proves its ledger key inside the stream.
		coordinatorv1.SessionService_Connect_FullMethodName: open(),

		healthv1.Health_Check_FullMethodName: open(),
		healthv1.Health_List_FullMethodName:  open(),
		healthv1.Health_Watch_FullMethodName: open(),

		// The contracts are public.
		reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName:      open(),
		reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: open(),
	}
}
