%% A supervisor with one gen_server that crashes: nanoseconds from the crash to the first answer of the new one.
%% For each line "go N" it prints "took T", the median of N.
-module(koboshi_peer).
-export([main/0, start_worker/1, init/1, handle_call/3, handle_cast/2]).

%% A supervisor looks at all its restarts of the last second at each restart: this many, and it is begun anew.
-define(OF_ONE_SUPERVISOR, 20).

main() ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    io:format("ready Erlang/OTP ~s supervisor (~p)~n",
              [erlang:system_info(otp_release), erlang:system_info(emu_flavor)]),
    loop().

loop() ->
    case io:get_line("") of
        "go " ++ Rest ->
            {Count, _} = string:to_integer(Rest),
            Sorted = lists:sort(recoveries(Count)),
            io:format("took ~p~n", [lists:nth((Count + 1) div 2, Sorted)]),
            loop();
        _ ->
            halt(0)
    end.

recoveries(0) ->
    [];
recoveries(Count) ->
    Now = min(Count, ?OF_ONE_SUPERVISOR),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {supervisor, self()}),
    receive {up, _} -> ok end,
    Times = [recovery() || _ <- lists:seq(1, Now)],
    exit(Supervisor, shutdown),
    receive {'EXIT', Supervisor, _} -> ok end,
    Times ++ recoveries(Count - Now).

recovery() ->
    Began = try gen_server:call(worker, fall) of
                _ -> error(did_not_fall)
            catch
                exit:{{fell, At}, _} -> At
            end,
    %% The new one says that it is up: faster than asking until it is there.
    receive {up, Worker} -> ok end,
    answer = gen_server:call(Worker, ask),
    erlang:convert_time_unit(erlang:monotonic_time() - Began, native, nanosecond).

start_worker(Client) ->
    gen_server:start_link({local, worker}, ?MODULE, {worker, Client}, []).

init({supervisor, Client}) ->
    Worker = #{id => worker, start => {?MODULE, start_worker, [Client]}},
    {ok, {#{strategy => one_for_one, intensity => 1000, period => 1}, [Worker]}};
init({worker, Client}) ->
    Client ! {up, self()},
    {ok, no_state}.

handle_call(ask, _From, State) ->
    {reply, answer, State};
handle_call(fall, _From, _State) ->
    exit({fell, erlang:monotonic_time()}).

handle_cast(_Message, State) ->
    {noreply, State}.
