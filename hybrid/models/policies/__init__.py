"""Policies for reinforcement learning, quantum and classical, trained alike by stable-baselines3's PPO."""
